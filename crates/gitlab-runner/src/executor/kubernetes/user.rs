//! The user that a job or a service names with `kubernetes:user`: GitLab Runner's `executors/kubernetes/kubernetes.go`.

use crate::log::JobLog;

/// The numbers of a user and of a group.
pub(super) type User = (i64, Option<i64>);

/// The user that `wanted` names, if the runner configuration allows it. As in GitLab Runner, an invalid text causes only a warning.
pub(super) fn allowed(wanted: Option<&str>, allowed: &[String], log: &JobLog) -> Option<User> {
    let wanted = wanted.filter(|wanted| !wanted.is_empty())?;
    let Some(user) = parse(wanted) else {
        log.warn(&format!(
            "`kubernetes:user` is `{wanted}`; expected numbers such as `1000` or `1000:1000`; it is ignored"
        ));
        return None;
    };
    // `common/config.go`: only an explicit entry allows root.
    let is_allowed = if allowed.is_empty() { user.0 != 0 } else { allowed.iter().any(|it| *it == user.0.to_string()) };
    if !is_allowed {
        log.warn(&format!(
            "the runner does not allow the user {} of `kubernetes:user` (`allowed_users` in [runners.kubernetes]); it is ignored",
            user.0
        ));
    }
    is_allowed.then_some(user)
}

fn parse(text: &str) -> Option<User> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    match text.split_once(':') {
        Some((user, group)) => Some((number(user)?, Some(number(group)?))),
        None => Some((number(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::log::testing::log;

    #[rstest]
    #[case::user("1000", &[], Some((1000, None)))]
    #[case::user_and_group("1000:50", &[], Some((1000, Some(50))))]
    #[case::listed("0", &["0"], Some((0, None)))]
    #[case::root("0", &[], None)]
    #[case::not_listed("1000", &["1001"], None)]
    #[case::name("ci", &[], None)]
    #[case::negative("-1", &[], None)]
    #[case::nothing("", &[], None)]
    fn only_allowed_users_are_used(#[case] wanted: &str, #[case] list: &[&str], #[case] expected: Option<User>) {
        let (_dir, log) = log(&[]);
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(allowed(Some(wanted), &list, &log), expected);
        assert_eq!(log.last_lines().is_empty(), expected.is_some() || wanted.is_empty());
    }
}
