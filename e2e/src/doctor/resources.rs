//! What the machine gives: memory, disk, inotify, control groups.

use std::fs;
use std::path::Path;

use super::finding::{Finding, Remedy, Verdict};
use super::platform::Platform;

const GIB: u64 = 1 << 30;

/// A node with its control plane, a registry, Prometheus, and a build beside them.
const MEMORY: u64 = 4 * GIB;

/// All images, the layers of what is being built, and [`STORY`].
const DISK: u64 = 15 * GIB;

/// A cluster, which unpacks its images once more, the layers of a pipeline, and its caches.
const STORY: u64 = 6 * GIB;

/// Every pod, kubelet and containerd watch files. <https://kind.sigs.k8s.io/docs/user/known-issues/>
const INOTIFY: [(&str, u64); 2] = [("max_user_instances", 128), ("max_user_watches", 8192)];

/// Memory that can be had without swapping.
pub(super) fn examine_memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    memory(&text)
}

fn memory(meminfo: &str) -> Finding {
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    let needed = format!("{} GiB available", MEMORY / GIB);
    match available.and_then(|kibibytes| kibibytes.parse::<u64>().ok()) {
        None => Finding::good("memory", needed, "unknown"),
        Some(kibibytes) => {
            let finding = Finding::good("memory", needed, gibibytes(kibibytes * 1024));
            if kibibytes * 1024 >= MEMORY {
                finding
            } else {
                finding.with(
                    Verdict::Missing,
                    Remedy::Advice("end what uses the memory, or take a larger machine".to_owned()),
                )
            }
        }
    }
}

/// Disk where the engine keeps its images, else of the root file system. `images` is the size of those that are there already, in
/// bytes.
pub(super) fn examine_disk(data_root: Option<&Path>, images: u64) -> Finding {
    let folder = data_root.filter(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(folder) {
        Err(error) => Finding::good("disk", disk_needed(folder, images).1, format!("unknown: {error}")),
        Ok(disk) => disk_of(folder, disk.f_bavail * disk.f_frsize, images),
    }
}

fn disk_of(folder: &Path, free: u64, images: u64) -> Finding {
    let (bytes, needed) = disk_needed(folder, images);
    let finding = Finding::good("disk", needed, gibibytes(free));
    if free >= bytes {
        return finding;
    }
    finding.with(
        Verdict::Missing,
        Remedy::Advice(
            "`docker system prune --all` frees what no container uses, images of this project too".to_owned(),
        ),
    )
}

/// What must be free, in bytes and in words. Making an image takes its own size about once more, in layers that are kept for the
/// next one.
fn disk_needed(folder: &Path, images: u64) -> (u64, String) {
    let bytes = DISK.saturating_sub(images.saturating_mul(2)).max(STORY);
    let words = format!("{} free on {}", gibibytes(bytes), folder.display());
    (bytes, if images == 0 { words } else { format!("{words}, beside the images that are there") })
}

/// Limits on watched files.
pub(super) fn examine_inotify(platform: &Platform) -> Finding {
    let limits = INOTIFY.map(|(name, needed)| {
        let value = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok();
        (name, needed, value.and_then(|value| value.trim().parse::<u64>().ok()))
    });
    let needed = INOTIFY.map(|(name, needed)| format!("{name} {needed}")).join(", ");
    let found = limits.map(|(_, _, value)| value.map_or("unknown".to_owned(), |value| value.to_string())).join(", ");
    let finding = Finding::good("inotify", needed, found);
    if limits.iter().all(|(_, needed, value)| value.is_none_or(|value| value >= *needed)) {
        return finding;
    }
    let settings = INOTIFY.map(|(name, needed)| format!("sysctl -w fs.inotify.{name}={}", needed * 4));
    finding.with(Verdict::Missing, platform.command(settings.join("\n")))
}

/// Which version of control groups the machine has. Both work; which one is told in reports.
pub(super) fn examine_control_groups() -> Finding {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    Finding::good("control groups", "version 1 or 2", if unified { "version 2" } else { "version 1" })
}

#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::enough("MemTotal: 9 kB\nMemAvailable:    4194304 kB\n", Verdict::Good, "4.0 GiB")]
    #[case::too_little("MemAvailable:    4194303 kB\n", Verdict::Missing, "4.0 GiB")]
    #[case::not_told("MemTotal: 9 kB\n", Verdict::Good, "unknown")]
    fn memory_of_meminfo(#[case] meminfo: &str, #[case] verdict: Verdict, #[case] found: &str) {
        let finding = memory(meminfo);
        assert_eq!((finding.verdict, finding.found.as_str()), (verdict, found));
        assert_eq!(finding.remedy.is_some(), verdict != Verdict::Good);
    }

    #[rstest]
    #[case::nothing_is_there(15 * GIB, 0, Verdict::Good, "15.0 GiB free on /d")]
    #[case::a_byte_too_little(15 * GIB - 1, 0, Verdict::Missing, "15.0 GiB free on /d")]
    #[case::some_images(11 * GIB, 2 * GIB, Verdict::Good, "11.0 GiB free on /d, beside the images that are there")]
    #[case::all_of_them(6 * GIB, 6 * GIB, Verdict::Good, "6.0 GiB free on /d, beside the images that are there")]
    #[case::no_room_for_a_cluster(
        6 * GIB - 1, 6 * GIB, Verdict::Missing, "6.0 GiB free on /d, beside the images that are there"
    )]
    fn disk_beside_what_is_there(
        #[case] free: u64,
        #[case] images: u64,
        #[case] verdict: Verdict,
        #[case] needed: &str,
    ) {
        let finding = disk_of(Path::new("/d"), free, images);
        assert_eq!((finding.verdict, finding.needed.as_str()), (verdict, needed));
        assert_eq!(finding.remedy.is_some(), verdict != Verdict::Good);
    }
}
