//! What members are shown of a node's tables: what its owner chose, and nothing else.

use super::{Liar, Site};
use privity_api::Project;
use privity_node::catalogue::Page;
use serde_json::{Value, json};

fn ask(project: &str, after: &str) -> Value {
    json!({ "project": project, "after": after })
}

impl Site {
    /// Registers a table of two rows whose contract has a category of these values.
    fn offers(&self, name: &str, values: &[String], projects: &[&str], shows_rows: bool) -> (u16, Value) {
        let data = self.folder.path().join(format!("{name}.csv"));
        std::fs::write(&data, format!("kind,y\n{0},no\n{0},yes\n", values[0])).expect("rows");
        let listed = values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(", ");
        let schema = format!(
            "# a remark of the owner\n[[columns]]\nname = \"kind\"\nkind = \"category\"\nvalues = [{listed}]\n\
             [[columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n"
        );
        let table = json!({
            "name": name, "path": data, "schema": schema, "rows": 0, "projects": projects, "shows_rows": shows_rows
        });
        self.tool("POST", "tables", Some(&table))
    }
    fn page(&self, who: &Liar, project: &str, after: &str) -> Page {
        serde_json::from_str(&self.takes(who, "tables", &ask(project, after))).expect("a page")
    }
}

#[test]
fn members_see_of_tables_what_the_owner_shows_and_nothing_else() {
    let site = Site::new();
    let stranger = Liar::new(site.folder.path(), "bank-x");
    // The site's own table is shown to nobody.
    assert_eq!(site.takes(&site.c, "tables", &ask("fraud", "")), r#"{"tables":[],"more":false}"#);
    let (status, said) = site.tool("POST", "projects", Some(&json!("other")));
    assert_eq!(status, 200, "{said}");
    let values = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let cards = values(&["card", "cash"]);
    assert_eq!(site.offers("cards", &cards, &["fraud"], false).0, 200);
    assert_eq!(site.offers("secret", &cards, &["other"], true).0, 200);
    let contract = r#"{"extra_columns":"reject","columns":[{"name":"kind","kind":"category","values":["card","cash"]},{"name":"y","kind":"label","values":["no","yes"]}]}"#;
    let shown = |rows: &str| format!(r#"{{"tables":[{{"name":"cards","contract":{contract}{rows}}}],"more":false}}"#);
    assert_eq!(site.takes(&site.a, "tables", &ask("fraud", "")), shown(""), "no path, no remark, no number of rows");
    assert_eq!(site.offers("cards", &cards, &["fraud", "other"], true).0, 200);
    assert_eq!(site.takes(&site.c, "tables", &ask("fraud", "")), shown(r#","rows":2"#));
    assert!(site.page(&site.c, "fraud", "cards").tables.is_empty());

    // Nor does anybody else hear what its links reach; here no other member answers.
    assert_eq!(site.takes(&site.a, "links", &json!("fraud")), "{}");
    site.refuses(&site.c, "links", &json!("other"), "E2103");
    site.refuses(&stranger, "links", &json!("fraud"), "E2103");

    // Nobody else: of no other project, and nobody who is none of its members.
    for project in ["other", "fraud2", "", "../fraud"] {
        let text = site.refuses(&site.c, "tables", &ask(project, ""), "E2103");
        assert!(!text.contains("secret"), "{text}");
    }
    site.refuses(&stranger, "tables", &ask("fraud", ""), "E2103");
    site.refuses(&site.c, "tables", &json!({ "project": "fraud", "after": "", "all": true }), "E1007");
    let project = Project {
        name: "fraud".into(),
        founder: "bank-a".into(),
        version: 2,
        members: vec![site.a.member(), site.own.clone()],
    };
    site.takes(&site.a, "project", &site.a.sign(project));
    site.refuses(&site.c, "tables", &ask("fraud", ""), "E2103");

    // People here see it as the others do, and who does not answer.
    let (status, told) = site.tool("GET", "projects/fraud/tables", None);
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["members"]["bank-b"][0]["name"], "cards");
    assert_eq!(told["members"].as_object().expect("members").len(), 1, "{told}");
    assert!(told["silent"]["bank-a"].as_str().is_some_and(|why| why.starts_with("E2101")), "{told}");
    assert_eq!(site.tool("GET", "projects/unknown/tables", None).0, 404);

    // A project that is left sees nothing any more, and the log says all of it.
    let (status, said) = site.tool("POST", "projects/other/leave", Some(&json!("bob")));
    assert_eq!(status, 200, "{said}");
    let (_, tables) = site.tool("GET", "tables", None);
    let of = |name: &str| {
        let table = tables.as_array().expect("tables").iter().find(|table| table["name"] == name);
        table.map(|table| (table["projects"].clone(), table["shows_rows"].clone())).expect("a table")
    };
    assert_eq!(of("cards"), (json!(["fraud"]), json!(true)));
    assert_eq!(of("secret"), (json!([]), json!(false)));
    let records = site.records("table");
    let shown: Vec<&Value> = records.iter().filter(|r| r["table"] == "secret").map(|r| &r["shown"]).collect();
    assert_eq!(shown, [&Value::Null, &json!(["other"])], "the newest first");
}

#[test]
fn what_is_shown_has_bounds_and_steers_nothing() {
    let site = Site::new();
    let long = |many: usize| (0..many).map(|i| format!("{i:0>100}")).collect::<Vec<_>>();
    for name in ["B", "a", "c"] {
        assert_eq!(site.offers(name, &long(3000), &["fraud"], true).0, 200);
    }
    // One after the other, in the order of their letters at every database; together they are longer than an answer.
    let mut after = String::new();
    for (name, more) in [("B", true), ("a", true), ("c", false)] {
        let page = site.page(&site.a, "fraud", &after);
        assert_eq!((page.tables.len(), page.tables[0].name.as_str(), page.more), (1, name, more));
        after = page.tables[0].name.clone();
    }
    let (status, told) = site.tool("GET", "projects/fraud/tables", None);
    assert_eq!((status, told["members"]["bank-b"].as_array().map(Vec::len)), (200, Some(3)));
    let refused = |(status, said): (u16, Value), words: &str| {
        assert!(status >= 400 && said.to_string().contains(words), "{status} {said}");
    };
    // 4000 values of 150 letters in a contract would be longer than an answer may be.
    let longer = (0..4000).map(|i| format!("{i:0>150}")).collect::<Vec<_>>();
    refused(site.offers("longer", &longer, &["fraud"], false), "too long to be shown");
    assert_eq!(site.offers("longer", &longer, &[], false).0, 200, "it is shown to nobody");
    refused(site.offers("odd", &["a\u{202e}b".into()], &["fraud"], false), "steer");
    refused(site.offers("odd", &["a".into()], &["unknown"], false), "E1006");
    refused(site.offers("odd", &["a".into()], &[], true), "shown to no project");
    // Asking costs a place in a bucket.
    let answers: Vec<(u16, String)> = (0..25).map(|_| site.says(&site.c, "tables", &ask("fraud", "c"))).collect();
    assert!(answers.iter().any(|(status, text)| *status == 429 && text.starts_with("E1010")));
    site.takes(&site.c, "ping", &json!({}));
}

/// The log has the budget of 1000 once, and each job that took something of it once, the newest first.
pub fn budget_is_on_record(site: &Site, taken: &[(&String, u64)]) {
    let budget = json!({ "kind": "budget", "project": "fraud", "epsilon_milli_total": 1000, "period_days": 0 });
    assert_eq!(site.records("budget"), [budget]);
    let spent: Vec<_> =
        site.records("spent").iter().map(|r| (r["manifest"].clone(), r["epsilon_milli"].clone())).collect();
    let taken: Vec<_> = taken.iter().map(|(digest, epsilon_milli)| (json!(digest), json!(epsilon_milli))).collect();
    assert_eq!(spent, taken);
}
