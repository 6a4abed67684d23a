//! By which bindings an account may do what it may do: the object of a failure that is about rights.

use futures_util::future::{join, join_all};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// Those of an account in these namespaces, and in the whole cluster: all of them in one line, and each in a line of its own. What
/// cannot be listed is left out: something is wrong already.
pub(super) async fn of(client: &Client, account: &UserInfo, namespaces: &[&str]) -> (String, String) {
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
        let places = namespaces.join(", ");
        return (format!("{account} in {places}"), format!("no RoleBinding of {places} is for {account}"));
    }
    (found.join(", "), found.iter().map(|line| format!("{line}, for {account}")).collect::<Vec<_>>().join("\n"))
}

/// The user name of an account.
pub(super) fn name(account: &UserInfo) -> &str {
    account.username.as_deref().unwrap_or_default()
}

fn described(name: &str, subjects: Option<&[Subject]>, role: &RoleRef, account: &UserInfo) -> Option<String> {
    let is_for = subjects.into_iter().flatten().any(|subject| is_for(subject, role, account));
    is_for.then(|| format!("{name} ({} {})", role.kind, role.name))
}

/// Whether a binding's subject is the account, or a group that it is in.
fn is_for(subject: &Subject, role: &RoleRef, account: &UserInfo) -> bool {
    match &*subject.kind {
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            name(account) == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }
        "User" => name(account) == subject.name,
        // Kubernetes itself binds roles of this prefix to the groups of all accounts.
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

    /// What the API server says of a `ServiceAccount`.
    fn account() -> UserInfo {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:gitlab", "system:authenticated"];
        let groups = groups.map(str::to_owned).to_vec();
        UserInfo { username: Some(ACCOUNT.to_owned()), groups: Some(groups), ..UserInfo::default() }
    }

    #[rstest]
    #[case::the_account("ServiceAccount", "gitlab", Some("gitlab"), "gitlab", true)]
    #[case::a_namesake("ServiceAccount", "gitlab", Some("default"), "gitlab", false)]
    #[case::by_its_users_name("User", ACCOUNT, None, "admin", true)]
    #[case::all_of_its_namespace("Group", "system:serviceaccounts:gitlab", None, "admin", true)]
    #[case::all_of_another("Group", "system:serviceaccounts:default", None, "admin", false)]
    #[case::all_accounts("Group", "system:serviceaccounts", None, "system:service-account-issuer-discovery", false)]
    #[case::all_accounts_and_more("Group", "system:serviceaccounts", None, "view", true)]
    #[case::everybody("Group", "system:authenticated", None, "system:basic-user", false)]
    #[case::everybody_and_more("Group", "system:authenticated", None, "cluster-admin", true)]
    fn whom_a_binding_is_for(
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
