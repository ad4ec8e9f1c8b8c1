"""
Reads at random until a time: `random-reader.py MOUNTED ORIGINAL SEED SECONDS`. Both folders hold the same files. Prints how many reads
were right, how many ended with EIO, and how many had wrong bytes.
"""
import errno, os, random, sys, time

mounted, original, seed, seconds = sys.argv[1:]
rand = random.Random(int(seed))
names = sorted(os.listdir(original))
contents = {}
counts = {"right": 0, "EIO": 0, "wrong": 0}
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    name = rand.choice(names)
    if name not in contents:
        with open(os.path.join(original, name), "rb") as file:
            contents = {name: file.read()}
    whole = contents[name]
    fd = os.open(os.path.join(mounted, name), os.O_RDONLY)
    # What the kernel keeps of it is of no interest.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    for _ in range(rand.randrange(1, 10)):
        offset, length = rand.randrange(len(whole)), rand.choice([1, 5000, 150_000, 1_500_000])
        try:
            found = os.pread(fd, length, offset)
            # Only a file's end makes a read shorter, but for the limit of a signal or a page that failed behind the first.
            right = found == whole[offset : offset + len(found)] and len(found) > 0
            counts["right" if right else "wrong"] += 1
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            counts["EIO"] += 1
    os.close(fd)
print(*counts.values())
