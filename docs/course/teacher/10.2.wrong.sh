# The commit is gone from the branch: a push would need --force, and the history does not show what happened.
sed --in-place 's|path: /health|path: /nowhere|' target/course/project/manifests/deployment.yaml
git -C target/course/project commit --quiet --all --message 'Break the readiness probe'
git -C target/course/project reset --quiet --hard HEAD~1
