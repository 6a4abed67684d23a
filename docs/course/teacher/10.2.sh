# A commit that breaks the readiness probe, and the commit that takes it back.
sed --in-place 's|path: /health|path: /nowhere|' target/course/project/manifests/deployment.yaml
git -C target/course/project commit --quiet --all --message 'Break the readiness probe'
git -C target/course/project revert --no-edit HEAD
