//! Which file systems keep their data on another machine.

/// Magic numbers from `linux/magic.h` and the file systems' own sources.
const NETWORK: [(u32, &str); 8] = [
    (0x0000_6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x0bd0_0bd0, "lustre"),
    // It is not known what is behind it (sshfs, glusterfs, s3), so it is treated with the greater
    // care.
    (0x6573_5546, "fuse"),
];

/// Whether a magic number, as `statfs` returns it, is that of a network file system.
pub(super) fn is_network(magic: u32) -> bool {
    NETWORK.iter().any(|(known, _)| *known == magic)
}
