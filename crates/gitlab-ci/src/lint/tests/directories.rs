//! Includes from elsewhere, for which directories are given.

use super::*;

// lib/gitlab/ci/config/external/file/project.rb, lib/gitlab/ci/components/instance_path.rb
#[rstest]
#[case::a_project("{project: group/project, file: /ci.yml}", "group/project", "inner")]
#[case::a_project_by_its_group("{project: group/project, file: ci.yml}", "group", "inner")]
#[case::a_project_by_its_kind("{project: group/project, file: ci.yml}", "project", "inner")]
#[case::a_component("{component: gitlab.test/group/project/lint@1.0}", "gitlab.test/group/project", "inner")]
#[case::a_component_with_a_directory(
    "{component: gitlab.test/group/project/deep@1.0}",
    "gitlab.test/group/project",
    "deep"
)]
#[case::a_remote_file("{remote: 'https://host.test/ci.yml'}", "https://host.test/", "own")]
fn reads_includes_of_other_projects_from_directories(#[case] include: &str, #[case] what: &str, #[case] job: &str) {
    let dir = tempfile::tempdir().unwrap();
    let root = match what {
        "group" => dir.path().join("project"),
        "project" => dir.path().join("group/project"),
        _ => dir.path().to_owned(),
    };
    std::fs::create_dir_all(root.join("templates/deep")).unwrap();
    let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
    write("ci.yml", "include: /sub.yml\n");
    write("templates/lint.yml", "include: sub.yml\n");
    // A component may read its own data, which only the server of the component has.
    write("templates/deep/template.yml", "spec: {component: [sha]}\n---\ndeep: {script: 'x $[[ component.sha ]]'}\n");
    write("sub.yml", "inner: {script: x}\n");
    let files =
        Map([(".gitlab-ci.yml", format!("include: {include}\n")), ("sub.yml", "own: {script: x}\n".to_owned())].into());
    let directories = [(what.to_owned(), dir.path().to_owned())].into();
    let environment = Environment { directories: &directories, ..Environment::new(&files) };
    let lint = lint(".gitlab-ci.yml", &environment);
    assert_eq!(complaints(&lint), Vec::<String>::new());
    assert_eq!(lint.configuration.unwrap().jobs.keys().map(|name| &**name).collect::<Vec<_>>(), [job]);
}

#[test]
fn a_missing_file_of_a_given_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (given, help) in [(dir.path().to_owned(), "has no file `a.yml`"), (dir.path().join("none"), "does not exist")] {
        let files = Map([(".gitlab-ci.yml", "include: {project: Group/P, file: a.yml}\n".to_owned())].into());
        let directories = [("group/p".to_owned(), given)].into();
        let environment = Environment { directories: &directories, ..Environment::new(&files) };
        let found = complaints(&lint(".gitlab-ci.yml", &environment)).join("\n");
        assert!(found.starts_with(".gitlab-ci.yml:1:10: Project `Group/P` file `a.yml` does not exist!"), "{found}");
        assert!(found.contains(help), "{found}");
    }
}

#[rstest]
#[case::one_directory_for_each_ref(&["g/p@v1", "g/p@v2"], &["one", "two"], "")]
#[case::a_directory_of_any_ref(
    &["g/p@v1", "g/p"],
    &["one", "two"],
    ""
)]
#[case::one_directory_for_all_refs(
    &["g/p"],
    &["one"],
    "`g/p` is included at the refs `v1` and `v2`, both from DIR (specify a directory for each ref: --include g/p@v2=DIR)"
)]
#[case::another_ref(
    &["g/p@v1"],
    &[],
    "include:project `g/p/ci.yml` is not in this project (specify its directory: --include g/p@v2=DIR, or --include project=DIR for \
     all includes of that kind)"
)]
fn a_directory_replaces_a_project_at_one_ref(#[case] keys: &[&str], #[case] jobs: &[&str], #[case] complaint: &str) {
    let dir = tempfile::tempdir().unwrap();
    let include = "include: [{project: g/p, ref: v1, file: ci.yml}, {project: g/p, ref: v2, file: ci.yml}]\n";
    let files = Map([(".gitlab-ci.yml", include.to_owned())].into());
    let directories = keys.iter().zip(["one", "two"]).map(|(key, job)| {
        let dir = dir.path().join(job);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("ci.yml"), format!("{job}: {{script: x}}\n")).unwrap();
        ((*key).to_owned(), dir)
    });
    let directories = directories.collect();
    let environment = Environment { directories: &directories, ..Environment::new(&files) };
    let lint = lint(".gitlab-ci.yml", &environment);
    let found = complaints(&lint).join("\n").replace(&*dir.path().join("one").to_string_lossy(), "DIR");
    assert_eq!(found.split_once(": ").map_or("", |(_, text)| text), complaint);
    let found = lint.configuration.iter().flat_map(|found| found.jobs.keys()).map(|name| &**name);
    assert_eq!(found.collect::<Vec<_>>(), jobs);
}

#[test]
fn a_directory_replaces_whole_names_only() {
    let files = Map([(".gitlab-ci.yml", "include: {project: group/project-two, file: a.yml}\n".to_owned())].into());
    let directories = [("group/project".to_owned(), std::path::PathBuf::from("/nowhere"))].into();
    let environment = Environment { directories: &directories, ..Environment::new(&files) };
    assert_eq!(
        complaints(&lint(".gitlab-ci.yml", &environment)),
        [
            ".gitlab-ci.yml:1:10: include:project `group/project-two/a.yml` is not in this project (specify its directory: --include group/project-two=DIR, or --include project=DIR for all includes of that kind)"
        ]
    );
}
