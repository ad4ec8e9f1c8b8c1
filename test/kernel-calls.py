"""
System calls that Node lacks, for test/mount-kernel.test.ts: `kernel-calls.py WHAT ARGUMENTS…` prints JSON. Paths in it have one
character for each byte.
"""
import ctypes, errno, json, mmap, os, random, stat, sys, tempfile

libc = ctypes.CDLL(None, use_errno=True)
RANDOM = random.Random(20101004)


class Dirent(ctypes.Structure):
    _fields_ = [
        ("ino", ctypes.c_uint64),
        ("off", ctypes.c_int64),
        ("reclen", ctypes.c_ushort),
        ("type", ctypes.c_ubyte),
        ("name", ctypes.c_char * 256),
    ]


libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.telldir.restype = ctypes.c_long
for function, kinds in {
    "opendir": [ctypes.c_char_p],
    "readdir": [ctypes.c_void_p],
    "telldir": [ctypes.c_void_p],
    "seekdir": [ctypes.c_void_p, ctypes.c_long],
    "rewinddir": [ctypes.c_void_p],
    "closedir": [ctypes.c_void_p],
    "umount2": [ctypes.c_char_p, ctypes.c_int],
}.items():
    getattr(libc, function).argtypes = kinds


def walk(root):
    """Every path below root, itself as the empty one, in bytes."""
    yield b""
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            yield os.path.relpath(os.path.join(folder, name), root)


def stats(root):
    """What lstat(2) says, by path; inode numbers of listings beside those of stat."""
    found = {}
    for path in walk(os.fsencode(root)):
        s = os.lstat(os.path.join(os.fsencode(root), path))
        found[path.decode("latin-1")] = {
            "type": stat.S_IFMT(s.st_mode), "mode": stat.S_IMODE(s.st_mode), "uid": s.st_uid, "gid": s.st_gid,
            "size": s.st_size, "mtimeNs": str(s.st_mtime_ns), "blocks": s.st_blocks, "blksize": s.st_blksize,
            "ino": str(s.st_ino), "dev": s.st_dev, "nlink": s.st_nlink, "rdev": s.st_rdev,
        }  # fmt: skip
    return found


def listed(folder):
    """Inode numbers and types that readdir(3) gives: [name, ino, type]."""
    directory = libc.opendir(os.fsencode(folder))
    found = []
    while entry := libc.readdir(directory):
        found.append([entry.contents.name.decode("latin-1"), str(entry.contents.ino), entry.contents.type])
    libc.closedir(directory)
    return found


def seek(folder):
    """Goes to remembered places of a directory in a random order. Returns [expected, found] where they differ, and the count."""
    directory = libc.opendir(os.fsencode(folder))
    places = []
    while True:
        place = libc.telldir(directory)
        entry = libc.readdir(directory)
        places.append((place, entry.contents.name.decode("latin-1") if entry else None))
        if not entry:
            break
    wrong = []

    def look(expected):
        entry = libc.readdir(directory)
        name = entry.contents.name.decode("latin-1") if entry else None
        if name != expected:
            wrong.append([expected, name])

    for _ in range(500):
        place, expected = RANDOM.choice(places)
        libc.seekdir(directory, place)
        look(expected)
    libc.rewinddir(directory)
    for _, expected in places:
        look(expected)
    libc.closedir(directory)
    return {"count": len(places) - 1, "distinct": len({place for place, _ in places}), "wrong": wrong}


def read_names(directory, count=None):
    """The next names of an open directory, `count` at most, without `.` and `..`."""
    names = []
    while len(names) != count and (entry := libc.readdir(directory)):
        names.append(entry.contents.name.decode("latin-1"))
    return [name for name in names if name not in (".", "..")]


def seek_halfway(folder):
    """As seek, while the kernel has not seen the directory's end, so that it has kept no listing to answer from."""
    directory = libc.opendir(os.fsencode(folder))
    places = []
    for _ in range(3500):
        place = libc.telldir(directory)
        places += [(place, name) for name in read_names(directory, 1)]
    # A part of the listing has 1000 entries.
    chosen = [i for end in (1000, 2000, 3000) for i in range(end - 3, end + 3)]
    chosen += [RANDOM.randrange(len(places) - 3) for _ in range(200)]
    RANDOM.shuffle(chosen)
    wrong = []
    for i in chosen:
        libc.seekdir(directory, places[i][0])
        expected, found = [name for _, name in places[i : i + 3]], read_names(directory, 3)
        if found != expected:
            wrong.append([i, expected, found])
    # Each place is before the entry of the same index.
    libc.seekdir(directory, places[2222][0])
    rest = read_names(directory)
    libc.rewinddir(directory)
    return {"wrong": wrong, "rest": rest, "all": read_names(directory)}


def two_readers(folder):
    """What two readers get who take turns, one ahead of the other."""
    first, second = (libc.opendir(os.fsencode(folder)) for _ in range(2))
    names = [read_names(first, 2500), []]
    while True:
        more = [read_names(first, 10), read_names(second, 10)]
        if more == [[], []]:
            return names
        names = [names[0] + more[0], names[1] + more[1]]


def after_others(folder, others):
    """What a reader gets who lists all folders of `others` when he is in the middle."""
    directory = libc.opendir(os.fsencode(folder))
    names = read_names(directory, 2500)
    for other in os.scandir(others):
        os.listdir(other.path)
    return names + read_names(directory)


def content(path, original):
    """Reads a file in every way that there is. Returns the ways that gave other bytes than the original has."""
    with open(original, "rb") as file:
        whole = file.read()
    wrong = []

    def check(way, at, found, length):
        if found != whole[at : at + length]:
            wrong.append([way, at, length, len(found)])

    def place():
        at = RANDOM.randrange(len(whole) + 5000)
        return at, RANDOM.randrange(1, 300_000)

    fd = os.open(path, os.O_RDONLY)
    for _ in range(100):
        at, length = place()
        check("pread", at, os.pread(fd, length, at), length)
    for _ in range(50):
        at, length = place()
        pieces = [bytearray(length // 3 + 1) for _ in range(3)]
        count = os.preadv(fd, pieces, at)
        check("preadv", at, b"".join(pieces)[:count], len(pieces[0]) * 3)
    mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
    for _ in range(100):
        at, length = place()
        check("mmap", at, mapped[at : at + length], length)
    mapped.close()
    os.lseek(fd, -7, os.SEEK_END)
    check("lseek", len(whole) - 7, os.read(fd, 100), 100)
    for name, act in {
        "sendfile": lambda out, offset: os.sendfile(out, fd, offset, len(whole)),
        "copy_file_range": lambda out, offset: os.copy_file_range(fd, out, len(whole), offset),
    }.items():
        with tempfile.TemporaryFile() as out:
            done = 12_345
            try:
                while count := act(out.fileno(), done):
                    done += count
            except OSError as e:
                # Between two file systems a kernel may refuse it; then programs read and write.
                if name == "copy_file_range" and e.errno in (errno.EXDEV, errno.EOPNOTSUPP):
                    continue
                raise
            out.seek(0)
            check(name, 12_345, out.read(), len(whole))
    os.close(fd)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, 2**18)
    for _ in range(50):
        at = RANDOM.randrange(len(whole) // 4096 + 1) * 4096
        count = os.preadv(fd, [page], at)
        check("O_DIRECT", at, page[:count], 2**18)
    os.close(fd)
    return wrong


def attempt(act):
    try:
        act()
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]


def writes(root, elsewhere):
    """What every call that would change something ends with. The root has the entries file, folder, empty folder and link."""
    root = os.fsencode(root)
    file, folder, empty, link, new = (os.path.join(root, n) for n in (b"file", b"folder", b"empty folder", b"link", b"not there"))

    def opened(path, flags):
        return lambda: os.close(os.open(path, flags, 0o644))

    def call(name, *arguments):
        def act():
            if getattr(libc, name)(*arguments) != 0:
                raise OSError(ctypes.get_errno(), name)
        return act

    calls = {
        "open O_WRONLY": opened(file, os.O_WRONLY),
        "open O_RDWR": opened(file, os.O_RDWR),
        "open O_TRUNC": opened(file, os.O_RDONLY | os.O_TRUNC),
        "open O_CREAT": opened(new, os.O_WRONLY | os.O_CREAT),
        "open O_CREAT O_EXCL": opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
        "open O_TMPFILE": opened(folder, os.O_RDWR | os.O_TMPFILE),
        "mkdir": lambda: os.mkdir(new),
        "mknod file": lambda: os.mknod(new, 0o644 | stat.S_IFREG),
        "mkfifo": lambda: os.mkfifo(new),
        "unlink": lambda: os.unlink(file),
        "rmdir": lambda: os.rmdir(empty),
        "rename": lambda: os.rename(file, new),
        "rename over": lambda: os.rename(file, link),
        "link": lambda: os.link(file, new),
        "symlink": lambda: os.symlink(b"file", new),
        "chmod": lambda: os.chmod(file, 0o600),
        "chown": lambda: os.chown(file, 1, 1),
        "lchown": lambda: os.lchown(link, 1, 1),
        "utimensat": lambda: os.utime(file, ns=(1, 1)),
        "utimensat of a link": lambda: os.utime(link, ns=(1, 1), follow_symlinks=False),
        "truncate": lambda: os.truncate(file, 0),
        "setxattr": lambda: os.setxattr(file, "user.x", b"y"),
        "removexattr": lambda: os.removexattr(file, "user.x"),
        "access W_OK": call("access", file, os.W_OK),
        "faccessat W_OK": call("faccessat", -100, file, os.W_OK, 0x200),
        "rename into it": lambda: os.rename(elsewhere, new),
    }
    if os.getuid() == 0:
        calls["mknod device"] = lambda: os.mknod(new, 0o644 | stat.S_IFCHR, os.makedev(1, 3))
    results = {name: attempt(act) for name, act in calls.items()}
    fd = os.open(file, os.O_RDONLY)
    results["write on O_RDONLY"] = attempt(lambda: os.write(fd, b"x"))
    results["ftruncate on O_RDONLY"] = attempt(lambda: os.ftruncate(fd, 0))
    results["fchmod"] = attempt(lambda: os.fchmod(fd, 0o600))
    results["futimens"] = attempt(lambda: os.utime(fd, ns=(1, 1)))
    mapped = attempt(lambda: mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE))
    results["mmap MAP_SHARED PROT_WRITE"] = mapped
    # One's own copy may be written to.
    private = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    private[0:1] = b"X"
    results["unchanged"] = "done" if os.pread(fd, 1, 0) != b"X" else "changed"
    os.fsync(fd)
    os.close(fd)
    return results


def access(root, uid):
    """What a user may, by path: access(2) with R_OK and X_OK, and opening. Without the folder of thousands."""
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), int(uid))
    found = {}
    for path in sorted(path for path in walk(os.fsencode(root)) if not path.startswith(b"many/")):
        absolute = os.path.join(os.fsencode(root), path)
        may = [os.access(absolute, mode) for mode in (os.F_OK, os.R_OK, os.X_OK)]
        is_file = may[0] and stat.S_ISREG(os.stat(absolute).st_mode)
        opens = attempt(lambda: os.close(os.open(absolute, os.O_RDONLY))) if is_file else ""
        found[path.decode("latin-1")] = [*may, opens]
    return found


def errors(root):
    """What calls that ask for nonsense end with."""
    root = os.fsencode(root)
    file, folder, link = (os.path.join(root, name) for name in (b"file", b"folder", b"link"))
    return {
        "absent": attempt(lambda: os.stat(os.path.join(root, b"absent"))),
        "below a file": attempt(lambda: os.stat(os.path.join(file, b"x"))),
        "a name of 256 bytes": attempt(lambda: os.stat(os.path.join(root, b"x" * 256))),
        "open of a folder for writing": attempt(lambda: os.open(folder, os.O_RDWR)),
        "O_DIRECTORY of a file": attempt(lambda: os.open(file, os.O_RDONLY | os.O_DIRECTORY)),
        "O_NOFOLLOW of a link": attempt(lambda: os.open(link, os.O_RDONLY | os.O_NOFOLLOW)),
        "readlink of a file": attempt(lambda: os.readlink(file)),
        "listing of a file": attempt(lambda: os.listdir(file)),
        "read of a folder": attempt(lambda: os.read(os.open(folder, os.O_RDONLY), 1)),
        "rmdir of what is not empty": attempt(lambda: os.rmdir(folder)),
        "exec of what is not executable": attempt(lambda: os.execv(file, [b"x"])),
    }


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(json.dumps(globals()[what](*arguments)))
