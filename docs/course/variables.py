"""Prints the CI/CD variables that the course's project would have in GitLab's settings, as GitLab's API lists them."""

import json
import platform
from pathlib import Path

KUBECONFIG = Path("target/course/cluster/gitlab.kubeconfig")

VARIABLES = [
    {"key": "KUBECONFIG", "variable_type": "file", "value": KUBECONFIG.read_text(encoding="utf-8")},
    {"key": "CI_REGISTRY_IMAGE", "value": "registry.gitlab-k8s-demo.test/local/project"},
    {"key": "KUBE_ARCH", "value": "arm64" if platform.machine() == "aarch64" else "amd64"},
]

print(json.dumps(VARIABLES, indent=2))
