//! Lists the bindings that give an account its permissions, for failures about permissions.

use futures_util::future::{join, join_all};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// The bindings of an account in these namespaces and in the whole cluster: all in one line, and one line for each. Bindings that
/// cannot be listed are left out, because this only explains a failure that has already happened.
pub(super) async fn describe(client: &Client, account: &UserInfo, namespaces: &[&str]) -> (String, String) {
    let in_namespaces = join_all(namespaces.iter().map(|namespace| async move {
        let list = Api::<RoleBinding>::namespaced(client.clone(), namespace).list(&ListParams::default()).await;
        list.map(|list| list.items).unwrap_or_default()
    }));
    let clusters = Api::<ClusterRoleBinding>::all(client.clone());
    let all = ListParams::default();
    let (in_namespaces, in_cluster) = join(in_namespaces, clusters.list(&all)).await;
    let in_cluster = in_cluster.map(|list| list.items).unwrap_or_default();
    let in_namespaces = in_namespaces.into_iter().flatten().filter_map(|binding| {
        let name = format!("RoleBinding {}/{}", binding.namespace().unwrap_or_default(), binding.name_any());
        described(&name, binding.subjects.as_deref(), &binding.role_ref, account)
    });
    let in_cluster = in_cluster.into_iter().filter_map(|binding| {
        let name = format!("ClusterRoleBinding {}", binding.name_any());
        described(&name, binding.subjects.as_deref(), &binding.role_ref, account)
    });
    let found: Vec<String> = in_namespaces.chain(in_cluster).collect();
    let account = name(account);
    if found.is_empty() {
        let namespaces = namespaces.join(", ");
        return (format!("{account} in {namespaces}"), format!("no RoleBinding in {namespaces} is for {account}"));
    }
    (found.join(", "), found.iter().map(|line| format!("{line}, for {account}")).collect::<Vec<_>>().join("\n"))
}

pub(super) fn name(account: &UserInfo) -> &str {
    account.username.as_deref().unwrap_or_default()
}

fn described(name: &str, subjects: Option<&[Subject]>, role: &RoleRef, account: &UserInfo) -> Option<String> {
    let is_for = subjects.into_iter().flatten().any(|subject| is_for(subject, role, account));
    is_for.then(|| format!("{name} ({} {})", role.kind, role.name))
}

/// Whether a binding's subject is the account or one of its groups.
fn is_for(subject: &Subject, role: &RoleRef, account: &UserInfo) -> bool {
    match &*subject.kind {
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            name(account) == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }
        "User" => name(account) == subject.name,
        // Kubernetes itself binds roles with this prefix to the groups of all accounts.
        "Group" if role.name.starts_with("system:") => false,
        "Group" => account.groups.iter().flatten().any(|group| *group == subject.name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ACCOUNT: &str = "system:serviceaccount:gitlab:gitlab";

    /// The user info that the API server returns for a `ServiceAccount`.
    fn account() -> UserInfo {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:gitlab", "system:authenticated"];
        let groups = groups.map(str::to_owned).to_vec();
        UserInfo { username: Some(ACCOUNT.to_owned()), groups: Some(groups), ..UserInfo::default() }
    }

    #[rstest]
    #[case::the_account("ServiceAccount", "gitlab", Some("gitlab"), "gitlab", true)]
    #[case::same_name_in_another_namespace("ServiceAccount", "gitlab", Some("default"), "gitlab", false)]
    #[case::by_user_name("User", ACCOUNT, None, "admin", true)]
    #[case::group_of_its_namespace("Group", "system:serviceaccounts:gitlab", None, "admin", true)]
    #[case::group_of_another_namespace("Group", "system:serviceaccounts:default", None, "admin", false)]
    #[case::system_role_of_all_accounts(
        "Group",
        "system:serviceaccounts",
        None,
        "system:service-account-issuer-discovery",
        false
    )]
    #[case::other_role_of_all_accounts("Group", "system:serviceaccounts", None, "view", true)]
    #[case::system_role_of_all_users("Group", "system:authenticated", None, "system:basic-user", false)]
    #[case::other_role_of_all_users("Group", "system:authenticated", None, "cluster-admin", true)]
    fn a_binding_applies_to_the_account_and_its_groups(
        #[case] kind: &str,
        #[case] name: &str,
        #[case] namespace: Option<&str>,
        #[case] role: &str,
        #[case] expected: bool,
    ) {
        let subject = Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            ..Subject::default()
        };
        let role = RoleRef { kind: "ClusterRole".to_owned(), name: role.to_owned(), ..RoleRef::default() };
        assert_eq!(is_for(&subject, &role, &account()), expected);
        let described = described("RoleBinding gitlab/x", Some(&[subject]), &role, &account());
        assert_eq!(described.is_some(), expected, "{described:?}");
    }
}
