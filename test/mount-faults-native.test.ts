/** The tests of the default driver, of the other one. */
process.env.MOUNT_DRIVER = 'fuse-native';
await import('./mount-faults.test.js');
