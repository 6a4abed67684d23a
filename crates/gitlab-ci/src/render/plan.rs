//! A plan as a table, as JSON or as a Mermaid graph.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::when::{AllowFailure, When};
use crate::plan::admission::Reason;
use crate::plan::context::{Context, RefKind};
use crate::plan::job_index::JobIndex;
use crate::plan::runtime::known_when_running;
use crate::plan::{Plan, PlannedJob};
use crate::source::Sources;
use crate::variables::collection::Variable;

/// Renders a plan for a terminal: the ref and the commit, a table of the jobs, and a table of the jobs that are not in
/// the pipeline, each with its reason.
///
/// ```
/// use gitlab_ci::plan::{Plan, commit::Commit, context::Context};
/// use gitlab_ci::render;
/// use gitlab_ci::source::Sources;
///
/// let commit = Commit { sha: "0123456789abcdef0123456789abcdef01234567".to_owned(), ..Commit::default() };
/// let context = Context::push("main", commit);
/// // The example of the crate creates a plan with jobs.
/// let plan = Plan { context, name: None, stages: Vec::new(), jobs: Vec::new(), skipped: Vec::new() };
/// let text = render::plan::text(&plan, &Sources::default());
/// assert!(text.starts_with("branch main, commit 01234567, push, GitLab 18.11\n"));
/// ```
pub fn text(plan: &Plan, sources: &Sources) -> String {
    let kind = match plan.context.kind {
        RefKind::Branch => "branch",
        RefKind::Tag => "tag",
        RefKind::MergeRequest => "merge request of",
    };
    let name = plan.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let commit = plan.context.commit.sha.get(..8).unwrap_or_default();
    let source = plan.context.source.name();
    let Context { ref_name, version, .. } = &plan.context;
    let mut text = format!("{name}{kind} {ref_name}, commit {commit}, {source}, GitLab {version}\n\n");
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["stage", "job", "when", "needs", "environment", "reason"]);
    let mut stage = "";
    for job in &plan.jobs {
        let own = &*job.job.stage.value;
        let environment = job.environment.as_ref().map(|environment| match &environment.url {
            Some(url) => format!("{} {url}", environment.name),
            None => environment.name.clone(),
        });
        table.add_row([
            if own == stage { "" } else { own }.to_owned(),
            job.name.to_string(),
            when(job),
            needs(job)
                .map(|needs| if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") })
                .unwrap_or_default(),
            environment.unwrap_or_default(),
            describe_reason(&job.reason, sources),
        ]);
        stage = own;
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    if !plan.skipped.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["not in the pipeline", "reason"]);
        for skipped in &plan.skipped {
            table.add_row([skipped.name.to_string(), describe_reason(&skipped.reason, sources)]);
        }
        let _ = writeln!(text, "\n{}", table.trim_fmt());
    }
    for (job, failure) in plan.jobs.iter().filter_map(|job| Some((job, job.failure.as_ref()?))) {
        let _ = writeln!(text, "\n{} fails before it runs: {failure}", job.name);
    }
    text
}

fn when(job: &PlannedJob) -> String {
    if job.failure.is_some() {
        return "fails".to_owned();
    }
    let words = match job.when {
        When::OnSuccess => "on success",
        When::OnFailure => "on failure",
        When::Always => "always",
        When::Manual if job.allow_failure == AllowFailure::Fixed(false) => "manual, blocks",
        When::Manual => "manual",
        When::Delayed => "delayed",
        When::Never => "never",
    };
    match &job.allow_failure {
        AllowFailure::Fixed(true) if job.when != When::Manual => format!("{words}, may fail"),
        AllowFailure::ExitCodes(codes) => {
            let codes = codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("{words}, may fail with {codes}")
        }
        AllowFailure::Fixed(_) => words.to_owned(),
    }
}

fn needs(job: &PlannedJob) -> Option<Vec<String>> {
    Some(job.needs.as_ref()?.iter().map(|need| need.name.to_string()).collect())
}

fn describe_reason(reason: &Reason, sources: &Sources) -> String {
    match reason.span {
        Some(span) => {
            let location = sources.location(span);
            format!("{} ({}:{})", reason.text, location.file, location.line)
        }
        None => reason.text.clone(),
    }
}

/// Renders a plan as a JSON object with `pipeline`, `stages`, `jobs` and `skipped`. Ends with a line break.
///
/// # Errors
/// Does not occur in practice: every part has a representation in JSON.
pub fn json(plan: &Plan, sources: &Sources) -> Result<String, serde_json::Error> {
    let job = |job: &PlannedJob| {
        let mut object = json!({
            "name": job.name,
            "stage": job.job.stage.value,
            "when": job.when,
            "allow_failure": match &job.allow_failure {
                AllowFailure::Fixed(allowed) => Value::from(*allowed),
                AllowFailure::ExitCodes(codes) => json!({ "exit_codes": codes }),
            },
            "needs": needs(job),
            "environment": job.environment,
            "image": job.image,
            "resource_group": job.resource_group,
            "reason": describe_reason(&job.reason, sources),
        });
        if let Some(failure) = &job.failure {
            object["failure"] = Value::from(failure.as_str());
        }
        object
    };
    let document = json!({
        "pipeline": {
            "ref": plan.context.ref_name,
            "tag": plan.context.kind == RefKind::Tag,
            "source": plan.context.source,
            "sha": plan.context.commit.sha,
            "name": plan.name,
            "gitlab": plan.context.version.to_string(),
        },
        "stages": plan.stages,
        "jobs": plan.jobs.iter().map(job).collect::<Vec<_>>(),
        "skipped": plan.skipped.iter().map(|skipped| {
            json!({"name": skipped.name, "reason": describe_reason(&skipped.reason, sources)})
        }).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Renders the jobs and their dependencies as a Mermaid flowchart. <https://mermaid.js.org/syntax/flowchart.html>
pub fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let ids: BTreeMap<&str, JobIndex> = plan.indexes().map(|index| (&*plan[index].name, index)).collect();
    for (index, stage) in plan.stages.iter().enumerate() {
        let _ = writeln!(text, "  subgraph s{index}[\"{}\"]", quoted(stage));
        for id in plan.indexes().filter(|id| plan[*id].job.stage.value == *stage) {
            let _ = writeln!(text, "    j{id}[\"{}\"]", quoted(&plan[id].name));
        }
        text.push_str("  end\n");
    }
    for stages in plan.stages.windows(2).enumerate().map(|(index, _)| index) {
        let _ = writeln!(text, "  s{stages} --> s{}", stages + 1);
    }
    for job in &plan.jobs {
        for need in job.needs.iter().flatten() {
            if let (Some(from), Some(to)) = (ids.get(&*need.name), ids.get(&*job.name)) {
                let _ = writeln!(text, "  j{from} -.-> j{to}");
            }
        }
    }
    text
}

fn quoted(name: &str) -> String {
    name.replace('"', "#quot;")
}

/// A variable of a job.
#[derive(Serialize)]
struct Line {
    key: String,
    /// The value as the runner gets it, or `None` where it is known only when the job runs.
    value: Option<String>,
    from: &'static str,
    hides: Vec<Hidden>,
}

/// A variable that one with a higher precedence hides, with its value as written.
#[derive(Serialize)]
struct Hidden {
    value: String,
    from: &'static str,
}

/// Replaces secrets in a value. A column is as wide as what it shows, so this happens before the table is made.
pub type Mask<'secrets> = &'secrets dyn Fn(&str) -> String;

/// The variables of a job, sorted by name. Values of masked variables and of files are replaced.
fn lines(plan: &Plan, job: &PlannedJob, mask: Mask<'_>) -> Vec<Line> {
    // A plan has no circular references: creating it would have failed.
    let expanded = job.variables.expand_all().unwrap_or_else(|_| job.variables.clone());
    let hidden = |variable: &Variable| Hidden { value: mask(&variable.shown()), from: variable.origin.name() };
    let known = expanded.iter().map(|(variable, hides)| Line {
        key: variable.key.to_string(),
        value: Some(mask(&variable.shown())),
        from: variable.origin.name(),
        hides: hides.iter().map(hidden).collect(),
    });
    let runtime = known_when_running(job, plan.context.version).filter(|(key, _)| expanded.get(key).is_none());
    let runtime =
        runtime.map(|(key, origin)| Line { key: key.to_owned(), value: None, from: origin.name(), hides: Vec::new() });
    let mut lines: Vec<Line> = known.chain(runtime).collect();
    lines.sort_by(|one, other| one.key.cmp(&other.key));
    lines
}

/// Renders the variables of a job as a table: name, value, origin, and the variables that each one hides. Values of masked variables are
/// replaced by `[MASKED]`, those of file variables by their size, and `mask` replaces secrets in all others.
pub fn variables(plan: &Plan, job: &PlannedJob, mask: Mask<'_>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["variable", "value", "from", "hides"]);
    for Line { key, value, from, hides } in lines(plan, job, mask) {
        let hides = hides.iter().map(|Hidden { value, from }| format!("{value} ({from})"));
        let value = value.unwrap_or_else(|| "(known when the job runs)".to_owned());
        table.add_row([key, value, from.to_owned(), hides.collect::<Vec<_>>().join(", ")]);
    }
    format!("{}\n", table.trim_fmt())
}

/// Renders the variables of a job as a JSON array of objects with `key`, `value`, `from` and `hides`. Ends with a line
/// break.
///
/// # Errors
/// Does not occur in practice: every part has a representation in JSON.
pub fn variables_json(plan: &Plan, job: &PlannedJob, mask: Mask<'_>) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(&lines(plan, job, mask))? + "\n")
}
