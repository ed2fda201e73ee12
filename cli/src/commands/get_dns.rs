//! `meridian get dns`: the status page of DNS, one page of names at a time.

use serde_json::{Value, json};

use super::get::{GetArgs, columns, text};
use crate::client::Admin;
use crate::failure::Failure;
use crate::output;

/// The head of the page and one page of names.
pub async fn facts(admin: &Admin, args: &GetArgs) -> Result<Value, Failure> {
    let summary: Value = admin.get("/v1/dns").await?;
    let mut path = String::from("/v1/dns/names?");
    if let Some(after) = &args.after {
        path.push_str(&format!("after={after}&"));
    }
    if let Some(limit) = args.limit {
        path.push_str(&format!("limit={limit}&"));
    }
    if let Some(service) = &args.service {
        path.push_str(&format!("service={service}&"));
    }
    let names: Value = admin.get(path.trim_end_matches(['?', '&'])).await?;
    Ok(
        json!({ "summary": summary, "names": names["names"], "total": names["total"], "next": names["next"] }),
    )
}

/// Zones, what is wrong, then a line a name.
pub fn print(facts: &Value) {
    let summary = &facts["summary"];
    columns(
        &summary["zones"],
        ["origin", "serial", "source", "records", "names"],
    );
    for problem in list(&summary["problems"]) {
        output::line(format_args!("left out: {}", text(problem)));
    }
    for row in list(&summary["flapping"]) {
        output::line(format_args!(
            "flapping: endpoint {} in {}, {} transitions in 10 min, last: {}",
            text(&row["endpoint"]),
            text(&row["region"]),
            row["recent_transitions"],
            text(&row["cause"])
        ));
    }
    output::line("");
    let rows: Vec<[String; 6]> = list(&facts["names"]).map(row).collect();
    let heading = [
        "name",
        "service",
        "policy",
        "serving",
        "not serving",
        "answered",
    ];
    output::table(heading, &rows);
    if let Some(next) = facts["next"].as_str() {
        output::line(format_args!(
            "\n{} of {} names; the next page: --after {next}",
            rows.len(),
            facts["total"]
        ));
    }
}

fn row(name: &Value) -> [String; 6] {
    let not_serving: Vec<String> = list(&name["members"])
        .filter(|member| member["state"] != "serving")
        .map(|member| format!("{} {}", text(&member["endpoint"]), text(&member["state"])))
        .collect();
    let continents: Vec<String> = list(&name["continents"]).map(continent).collect();
    [
        text(&name["name"]),
        text(&name["service"]),
        text(&name["policy"]),
        format!("{}/{}", name["serving"], name["members_total"]),
        if not_serving.is_empty() {
            "-".into()
        } else {
            not_serving.join(", ")
        },
        continents.join("; "),
    ]
}

/// `europe: eu-west 100%`; regions in the order of their shares.
fn continent(row: &Value) -> String {
    let regions: Vec<String> = list(&row["regions"])
        .map(|region| {
            let share = region["share"].as_f64().unwrap_or_default() * 100.0;
            format!("{} {share:.0}%", text(&region["region"]))
        })
        .collect();
    let served = if regions.is_empty() {
        "nobody".into()
    } else {
        regions.join(" ")
    };
    format!("{}: {served}", text(&row["continent"]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
