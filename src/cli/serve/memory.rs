//! How much memory the process may take: what the machine has, or its control group allows.

use std::{fs, path::Path};

/// Where the kernel tells of the machine, of the process, and of control groups.
const MEMINFO: &str = "proc/meminfo";
const OWN_GROUPS: &str = "proc/self/cgroup";
const GROUPS: &str = "sys/fs/cgroup";

/// The most memory in bytes that the process may take; `None` where there is nobody to tell.
pub(super) fn available() -> Option<u64> {
    available_below(Path::new("/"))
}

fn available_below(root: &Path) -> Option<u64> {
    let machine = machine_bytes(&fs::read_to_string(root.join(MEMINFO)).ok()?)?;
    let groups = fs::read_to_string(root.join(OWN_GROUPS)).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_limit(&root.join(GROUPS), line));
    Some(limits.fold(machine, u64::min))
}

/// From a line like `MemTotal:  24576000 kB`.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the group in this line of `/proc/self/cgroup` and of those that it lies in:
/// `0::/a/b` where groups have one tree, `4:memory:/a/b` where memory has one of its own. Within a
/// container the path may be that of the outside, of which only the root can be seen.
fn group_limit(groups: &Path, line: &str) -> Option<u64> {
    let (_, line) = line.split_once(':')?;
    let (controllers, path) = line.split_once(':')?;
    let (tree, file) = if controllers.is_empty() {
        (groups.to_owned(), "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        (groups.join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    let limit_of = |group: &Path| -> Option<u64> {
        // A group without a limit says "max", or a number larger than any memory.
        let limit = fs::read_to_string(tree.join(group).join(file)).ok()?;
        limit.trim().parse().ok()
    };
    Path::new(path.trim_start_matches('/')).ancestors().filter_map(limit_of).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, contents: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    #[test]
    fn this_machine_has_some() {
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn without_groups_it_is_the_machines() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(available_below(root.path()), None);
        write(root.path(), MEMINFO, "MemTotal:        4096 kB\nMemFree:          12 kB\n");
        assert_eq!(available_below(root.path()), Some(4 << 20));
        write(root.path(), OWN_GROUPS, "0::/none/such\nnonsense\n");
        assert_eq!(available_below(root.path()), Some(4 << 20));
    }

    #[test]
    fn the_tightest_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), MEMINFO, "MemTotal: 4096 kB\n");
        write(root.path(), OWN_GROUPS, "0::/system.slice/plinth.service\n");
        write(root.path(), "sys/fs/cgroup/system.slice/plinth.service/memory.max", "max\n");
        assert_eq!(available_below(root.path()), Some(4 << 20));
        write(root.path(), "sys/fs/cgroup/system.slice/memory.max", "1000000\n");
        assert_eq!(available_below(root.path()), Some(1_000_000));
        write(root.path(), "sys/fs/cgroup/system.slice/plinth.service/memory.max", "999000\n");
        assert_eq!(available_below(root.path()), Some(999_000));
    }

    #[test]
    fn memory_may_have_a_tree_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), MEMINFO, "MemTotal: 4096 kB\n");
        write(root.path(), OWN_GROUPS, "5:cpu:/\n4:memory:/docker/abc\n0::/\n");
        let none = "9223372036854771712\n";
        write(root.path(), "sys/fs/cgroup/memory/memory.limit_in_bytes", none);
        assert_eq!(available_below(root.path()), Some(4 << 20));
        // What a container sees as the root is its own group.
        write(root.path(), "sys/fs/cgroup/memory/memory.limit_in_bytes", "123456\n");
        assert_eq!(available_below(root.path()), Some(123_456));
    }
}
