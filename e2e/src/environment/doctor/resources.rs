//! Checks the machine's resources: memory, disk space and inotify limits.

use std::fs;
use std::path::Path;

use super::finding::{Finding, Remedy, Verdict};
use super::platform::Platform;
use super::supply::Route;

const GIB: u64 = 1 << 30;

/// For a node with its control plane, a registry, Prometheus, and a build in parallel.
const MEMORY: u64 = 4 * GIB;

/// While Kubernetes is compiled: its largest packages take a gigabyte each, and several compilers run concurrently. An assumption,
/// not measured.
const MEMORY_TO_BUILD: u64 = 6 * GIB;

/// All pulled images, and [`RUN`]. An assumption, not measured.
const DISK_TO_PULL: u64 = 15 * GIB;

/// All built images, and [`RUN`]: the node image takes 1.2 GB, its Go modules 1.6 GB and its build cache 4 GB. The sum is an
/// assumption, not measured.
const DISK_TO_BUILD: u64 = 25 * GIB;

/// A cluster, which unpacks its images again, and a pipeline's layers and caches.
const RUN: u64 = 6 * GIB;

/// All pods, the kubelet and containerd watch files. <https://kind.sigs.k8s.io/docs/user/known-issues/>
const INOTIFY: [(&str, u64); 2] = [("max_user_instances", 128), ("max_user_watches", 8192)];

/// Checks the memory that is available without swapping.
pub(super) fn examine_memory(route: &Route) -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    memory(&text, route.is_build())
}

fn memory(meminfo: &str, must_build: bool) -> Finding {
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    let (wanted, purpose) = if must_build { (MEMORY_TO_BUILD, " to build Kubernetes") } else { (MEMORY, "") };
    let needed = format!("{} GiB available{purpose}", wanted / GIB);
    let Some(bytes) = available.and_then(|kibibytes| kibibytes.parse::<u64>().ok()).map(|kibibytes| kibibytes * 1024)
    else {
        return Finding::good("memory", needed, "unknown");
    };
    let finding = Finding::good("memory", needed, gibibytes(bytes));
    let remedy = || Remedy::Advice("stop programs that use memory, or use a larger machine".to_owned());
    if bytes >= wanted {
        finding
    } else if bytes >= MEMORY {
        finding.with(Verdict::Warning, remedy())
    } else {
        finding.with(Verdict::Missing, remedy())
    }
}

/// Checks the disk space in the engine's data directory, or else on the root file system. `images` is the size in bytes of the
/// needed images that are present.
pub(super) fn examine_disk(data_root: Option<&Path>, images: u64, route: &Route) -> Finding {
    let directory = data_root.filter(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(directory) {
        Err(error) => Finding::good("disk", disk_needed(directory, images, route).1, format!("unknown: {error}")),
        Ok(disk) => disk_finding(directory, disk.f_bavail * disk.f_frsize, images, route),
    }
}

fn disk_finding(directory: &Path, free: u64, images: u64, route: &Route) -> Finding {
    let (bytes, needed) = disk_needed(directory, images, route);
    let finding = Finding::good("disk", needed, gibibytes(free));
    if free >= bytes {
        return finding;
    }
    finding.with(
        Verdict::Missing,
        Remedy::Advice(
            "`docker system df` shows the engine's disk usage; `docker system prune --all` removes stopped containers and all unused\n\
            networks, images and build caches, including the images of this project"
                .to_owned(),
        ),
    )
}

/// The disk space that must be free, in bytes and in words. Obtaining an image takes about twice its size, because its layers are
/// kept for the next build.
fn disk_needed(directory: &Path, images: u64, route: &Route) -> (u64, String) {
    let total = match route {
        Route::Present => RUN,
        Route::Build(_) => DISK_TO_BUILD,
        Route::Pull | Route::Unavailable(_) | Route::Unknown(_) => DISK_TO_PULL,
    };
    let bytes = total.saturating_sub(images.saturating_mul(2)).max(RUN);
    let words = format!("{} free on {}", gibibytes(bytes), directory.display());
    (bytes, if images == 0 { words } else { format!("{words}, in addition to the images that are present") })
}

/// Checks the limits on watched files.
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

#[expect(clippy::cast_precision_loss, reason = "only one decimal is shown")]
fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::enough("MemTotal: 9 kB\nMemAvailable:    4194304 kB\n", false, Verdict::Good, "4.0 GiB")]
    #[case::too_little("MemAvailable:    4194303 kB\n", false, Verdict::Missing, "4.0 GiB")]
    #[case::not_reported("MemTotal: 9 kB\n", false, Verdict::Good, "unknown")]
    #[case::enough_to_build("MemAvailable:    6291456 kB\n", true, Verdict::Good, "6.0 GiB")]
    #[case::little_to_build("MemAvailable:    6291455 kB\n", true, Verdict::Warning, "6.0 GiB")]
    #[case::too_little_for_anything("MemAvailable:    4194303 kB\n", true, Verdict::Missing, "4.0 GiB")]
    fn memory_is_read_from_meminfo(
        #[case] meminfo: &str,
        #[case] must_build: bool,
        #[case] verdict: Verdict,
        #[case] found: &str,
    ) {
        let finding = memory(meminfo, must_build);
        assert_eq!((finding.verdict, finding.found.as_str()), (verdict, found));
        assert_eq!(finding.remedy.is_some(), verdict != Verdict::Good);
    }

    fn build() -> Route {
        Route::Build(String::new())
    }

    #[rstest]
    #[case::no_images_are_present(15 * GIB, 0, Route::Pull, Verdict::Good, "15.0 GiB free on /d")]
    #[case::one_byte_too_little(15 * GIB - 1, 0, Route::Pull, Verdict::Missing, "15.0 GiB free on /d")]
    #[case::all_must_be_built(25 * GIB, 0, build(), Verdict::Good, "25.0 GiB free on /d")]
    #[case::one_byte_too_little_to_build(25 * GIB - 1, 0, build(), Verdict::Missing, "25.0 GiB free on /d")]
    #[case::some_images_are_present(11 * GIB, 2 * GIB, Route::Pull, Verdict::Good, "11.0 GiB free on /d, in addition to the images that are present")]
    #[case::all_images_are_present(6 * GIB, 2 * GIB, Route::Present, Verdict::Good, "6.0 GiB free on /d, in addition to the images that are present")]
    #[case::no_space_for_a_cluster(
        6 * GIB - 1, 6 * GIB, Route::Present, Verdict::Missing, "6.0 GiB free on /d, in addition to the images that are present"
    )]
    fn disk_space_depends_on_the_images_that_are_present(
        #[case] free: u64,
        #[case] images: u64,
        #[case] route: Route,
        #[case] verdict: Verdict,
        #[case] needed: &str,
    ) {
        let finding = disk_finding(Path::new("/d"), free, images, &route);
        assert_eq!((finding.verdict, finding.needed.as_str()), (verdict, needed));
        assert_eq!(finding.remedy.is_some(), verdict != Verdict::Good);
    }
}
