//! `privity table list`: this organisation's tables, and what the members of a project show each other of theirs.

use crate::error::CliError;
use crate::organisation::{Client, Home};
use privity_data::{Column, Kind, Missing};
use privity_node::catalogue::{Catalogue, Offer};
use privity_node::store::Table;

/// Most values of a category that are written out.
const VALUES: usize = 12;

/// To whom a table is shown.
pub fn shown_to(table: &Table) -> String {
    let rows = if table.shows_rows { ", with the number of its rows" } else { "" };
    match table.projects.is_empty() {
        true => "shown to nobody".into(),
        false => format!("shown to members of {}{rows}", table.projects.join(", ")),
    }
}

/// This organisation's tables.
pub fn own(home: &Home, json: bool) -> Result<(), CliError> {
    let tables: Vec<Table> = Client::new(home)?.get("tables")?;
    if json {
        println!("{}", crate::commands::json(&tables));
        return Ok(());
    }
    for table in tables {
        println!("{}  {} rows  {}  {}", table.name, table.rows, shown_to(&table), table.path);
    }
    Ok(())
}

/// What the members of a project show.
pub fn show(home: &Home, project: &str, json: bool) -> Result<(), CliError> {
    let catalogue: Catalogue = Client::new(home)?.get(&format!("projects/{project}/tables"))?;
    if json {
        println!("{}", crate::commands::json(&catalogue));
        return Ok(());
    }
    for (organisation, tables) in &catalogue.members {
        if tables.is_empty() {
            println!("{organisation} shows no table");
        }
        tables.iter().for_each(|table| offer(organisation, table));
    }
    for (organisation, why) in &catalogue.silent {
        match catalogue.members.contains_key(organisation) {
            true => println!("{organisation}: {why}"),
            false => println!("{organisation} did not tell: {why}"),
        }
    }
    Ok(())
}

fn offer(organisation: &str, table: &Offer) {
    let rows = table.rows.map_or("rows not shown".into(), |rows| format!("{rows} rows"));
    println!("{organisation}  {}  {rows}", table.name);
    table.contract.columns().iter().for_each(|one| println!("    {}  {}", one.name, column(one)));
}

/// What a column holds, in words.
fn column(column: &Column) -> String {
    let kind = match &column.kind {
        Kind::Number { min: Some(min), max: Some(max) } => format!("number from {min} to {max}"),
        Kind::Number { min: Some(min), max: None } => format!("number from {min}"),
        Kind::Number { min: None, max: Some(max) } => format!("number up to {max}"),
        Kind::Number { min: None, max: None } => "number".into(),
        Kind::Category { values } if values.len() > VALUES => {
            format!("one of {} and {} more", values[..VALUES].join(", "), values.len() - VALUES)
        }
        Kind::Category { values } => format!("one of {}", values.join(", ")),
        Kind::Label { negative, positive } => format!("label: {negative} or {positive}"),
        Kind::Day => "day".into(),
        Kind::Person => "person, stays at its owner".into(),
    };
    match column.missing {
        Missing::Reject => kind,
        Missing::Value(value) => format!("{kind}; an empty cell counts as {value}"),
        Missing::Zeros => format!("{kind}; may be empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_read_as_the_contract_has_them() {
        let number = |min, max| Column { kind: Kind::Number { min, max }, ..Column::number("n", 0.0, 1.0) };
        let cases = [
            (number(Some(0.0), Some(2.5)), "number from 0 to 2.5"),
            (number(None, Some(-1.0)), "number up to -1"),
            (Column { missing: Missing::Value(3.0), ..number(None, None) }, "number; an empty cell counts as 3"),
            (Column { missing: Missing::Zeros, ..Column::category("c", &["a", "b"]) }, "one of a, b; may be empty"),
            (Column::label("l"), "label: 0 or 1"),
        ];
        for (given, words) in cases {
            assert_eq!(column(&given), words);
        }
        let many: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        let many = Column::category("c", &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(column(&many).ends_with("11 and 8 more"));
    }
}
