//! The catalogue of a project: what its members show each other of their tables. The owner of a table says to which projects' members; they learn its name, its
//! contract and, if the owner says so, how many rows it has. Nothing else is answered: no path, no row, no table that is not shown, and nobody but members.

use crate::NodeError;
use crate::message::words;
use crate::node::Node;
use crate::store::Table;
use privity_api::{MAX_TEXT, Member, Record, is_name, sha256, steers};
use privity_data::{Kind, Schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of an answer, and of what one table adds to it at most.
const PAGE: usize = MAX_TEXT / 2;
/// So many tables of a member are taken, and no page more when its answers had so many bytes together.
const MOST: usize = 500;
const BYTES: usize = MAX_TEXT;
/// So many projects see one table.
const PROJECTS: usize = 64;

/// A table, as its owner shows it to members of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Its name: jobs name it by this.
    pub name: String,
    /// Its columns, as the contract has them: names, kinds, ranges, values.
    #[schema(value_type = Object)]
    pub contract: Schema,
    /// Its rows, if the owner shows how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// What a member asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Of which project.
    pub project: String,
    /// Tables whose names come after this one; empty at first.
    pub after: String,
}

/// Some tables, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// These.
    pub tables: Vec<Offer>,
    /// Whether there are more.
    pub more: bool,
}

/// What the members of a project show of their tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Catalogue {
    /// By member; this organisation's as the others see them.
    pub members: BTreeMap<String, Vec<Offer>>,
    /// Members that did not tell, or not all, and why.
    pub silent: BTreeMap<String, String>,
}

/// What the log says when a table is registered.
pub(crate) fn registered(table: &Table) -> Record {
    Record::Table {
        table: table.name.clone(),
        schema: sha256(table.schema.as_bytes()),
        rows: table.rows,
        shown: table.projects.clone(),
        rows_shown: table.shows_rows,
    }
}

/// And when it is withdrawn.
pub(crate) fn withdrawn(name: &str) -> Record {
    Record::Table { table: name.into(), schema: String::new(), rows: 0, shown: Vec::new(), rows_shown: false }
}

impl Table {
    /// What members of a project that sees it learn. The contract is written anew: of the owner's text, comments stay here.
    fn offer(&self) -> Result<Offer, NodeError> {
        let rows = self.shows_rows.then_some(self.rows);
        Ok(Offer { name: self.name.clone(), contract: crate::table::schema(self)?, rows })
    }
}

impl Offer {
    fn size(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }
    /// Whether people may be shown it as it is.
    fn is_readable(&self) -> bool {
        let plain = |text: &String| !text.chars().any(steers);
        let column = |column: &privity_data::Column| match &column.kind {
            Kind::Category { values } => plain(&column.name) && values.iter().all(plain),
            Kind::Label { negative, positive } => [&column.name, negative, positive].into_iter().all(plain),
            Kind::Number { .. } | Kind::Day | Kind::Person => plain(&column.name),
        };
        is_name(&self.name) && self.contract.columns().iter().all(column)
    }
}

impl Node {
    /// Whether a table may be shown as its owner wants it.
    ///
    /// # Errors
    /// A project of which this organisation is no member; a contract that others could not be shown.
    pub(crate) async fn check_shown(&self, table: &Table) -> Result<(), NodeError> {
        let own = self.own_projects().await?;
        if let Some(name) = table.projects.iter().find(|name| own.iter().all(|project| project.name != **name)) {
            return Err(NodeError::missing("project", &words(name)));
        }
        let wrong = |problem: &str| Err(NodeError::State(format!("table {}: {problem}", table.name)));
        if table.projects.len() > PROJECTS {
            return wrong("it is to be shown to more than 64 projects; name fewer");
        }
        if table.projects.is_empty() {
            return match table.shows_rows {
                true => wrong("the number of its rows is to be shown, and it is shown to no project; name one"),
                false => Ok(()),
            };
        }
        let offer = table.offer()?;
        match (offer.is_readable(), offer.size() <= PAGE) {
            (false, _) => wrong("a name or value in its contract has letters that steer a terminal; remove them"),
            (_, false) => {
                wrong("its contract is too long to be shown; have fewer columns or values, or do not show it")
            }
            (true, true) => Ok(()),
        }
    }

    /// Nobody of a project is shown a table any more. Whoever calls this holds [`Node::changing`].
    pub(crate) async fn hide_tables(&self, project: &str) -> Result<(), NodeError> {
        for mut table in self.store.tables().await? {
            let before = table.projects.len();
            table.projects.retain(|name| name != project);
            if table.projects.len() < before {
                table.shows_rows &= !table.projects.is_empty();
                self.record(&registered(&table))?;
                self.store.put_table(&table).await?;
            }
        }
        Ok(())
    }

    /// The tables that members of a project are shown, in the order of their names, which databases differ in.
    async fn offers(&self, project: &str) -> Result<Vec<Offer>, NodeError> {
        let mut tables = self.store.tables().await?;
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables.iter().filter(|table| table.projects.iter().any(|name| name == project)).map(Table::offer).collect()
    }

    /// What a member asks: the tables that it is shown.
    ///
    /// # Errors
    /// Whoever asks, or this organisation, is no member of the project.
    pub(crate) async fn receive_tables(&self, root: &str, ask: &Ask) -> Result<Page, NodeError> {
        self.among(root, &ask.project).await?;
        Ok(Page::of(self.offers(&ask.project).await?, &ask.after))
    }

    /// Whether the organisation with this root, and this one, are members of a project.
    pub(crate) async fn among(&self, root: &str, project: &str) -> Result<(), NodeError> {
        let own = self.own_projects().await?;
        match own.iter().any(|known| known.name == project && known.by_root(root).is_some()) {
            true => Ok(()),
            false => Err(NodeError::Stranger { who: root.into(), project: words(project) }),
        }
    }

    /// What all members of a project show of their tables.
    ///
    /// # Errors
    /// There is no such project.
    pub async fn catalogue(self: &Arc<Self>, project: &str) -> Result<Catalogue, NodeError> {
        let members = self.project(project).await?.members;
        self.among(&self.root.fingerprint(), project).await?;
        let mut catalogue = Catalogue::default();
        catalogue.members.insert(self.organisation().into(), self.offers(project).await?);
        let mut asked = Vec::new();
        for member in members.into_iter().filter(|m| m.organisation != self.organisation()) {
            let (node, project) = (self.clone(), project.to_owned());
            asked.push(tokio::spawn(async move {
                let (tables, problem) = node.tables_of(&member, &project).await;
                (member.organisation, tables, problem)
            }));
        }
        for told in asked {
            let (name, tables, problem) = told.await.map_err(|e| NodeError::Internal(e.to_string()))?;
            if let Some(problem) = problem {
                catalogue.silent.insert(name.clone(), problem);
            }
            if !tables.is_empty() || !catalogue.silent.contains_key(&name) {
                catalogue.members.insert(name, tables);
            }
        }
        Ok(catalogue)
    }

    /// What a member shows, as far as it fits here, and what is missing.
    async fn tables_of(&self, member: &Member, project: &str) -> (Vec<Offer>, Option<String>) {
        let (mut tables, mut bytes) = (Vec::<Offer>::new(), 0);
        loop {
            let after = tables.last().map_or(String::new(), |last| last.name.clone());
            let page = match self.page_of(member, &Ask { project: project.into(), after }).await {
                Ok((page, size)) => {
                    bytes += size;
                    page
                }
                Err(error) => return (tables, Some(error.to_string())),
            };
            let last = !page.more || page.tables.is_empty();
            tables.extend(page.tables);
            if last {
                return (tables, None);
            }
            if tables.len() >= MOST || bytes >= BYTES {
                tables.truncate(MOST);
                let more = format!("it shows more tables than these {}", tables.len());
                return (tables, Some(more));
            }
        }
    }

    /// One answer of a member, and its bytes.
    async fn page_of(&self, member: &Member, ask: &Ask) -> Result<(Page, usize), NodeError> {
        let text = serde_json::to_string(ask).map_err(|e| NodeError::State(e.to_string()))?;
        let answer = self.peers.send(member, "tables", text).await?;
        let refused = |problem: String| NodeError::Refused {
            organisation: member.organisation.clone(),
            problem: words(&format!("its answer is not understood: {problem}")),
            status: 200,
        };
        let page: Page = serde_json::from_str(&answer).map_err(|e| refused(e.to_string()))?;
        match page.is_next(&ask.after) {
            true => Ok((page, answer.len())),
            false => Err(refused("names that are none, not in order, or letters that steer a terminal".into())),
        }
    }
}

impl Page {
    /// As many of these as fit from after a name on, one at least.
    fn of(offers: Vec<Offer>, after: &str) -> Page {
        let (mut page, mut bytes) = (Page::default(), 0);
        for offer in offers.into_iter().filter(|offer| offer.name.as_str() > after) {
            bytes += offer.size();
            page.more = bytes > PAGE && !page.tables.is_empty();
            if page.more {
                break;
            }
            page.tables.push(offer);
        }
        page
    }
    /// Whether it goes on after a name, and people may be shown it.
    fn is_next(&self, after: &str) -> bool {
        let rises = self.tables.windows(2).all(|pair| pair[0].name < pair[1].name);
        let fresh = self.tables.first().is_none_or(|first| first.name.as_str() > after);
        rises && fresh && self.tables.iter().all(Offer::is_readable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_data::{Column, ExtraColumns};

    fn offer(name: &str, columns: Vec<Column>) -> Offer {
        Offer {
            name: name.into(),
            contract: Schema::new(columns, ExtraColumns::Reject).expect("a contract"),
            rows: None,
        }
    }

    #[test]
    fn what_a_member_answers_goes_on_and_steers_nothing() {
        let number = || vec![Column::number("x", 0.0, 1.0)];
        let page = |tables: Vec<Offer>| Page { tables, more: true };
        assert!(page(vec![offer("a", number()), offer("b", number())]).is_next(""));
        assert!(page(Vec::new()).is_next("z"));
        let wrong = [
            page(vec![offer("b", number()), offer("a", number())]),
            page(vec![offer("a", number()), offer("a", number())]),
            page(vec![offer("a/b", number())]),
            page(vec![offer("A", number())]),
            page(vec![offer("b", vec![Column::number("x\u{1b}[2J", 0.0, 1.0)])]),
            page(vec![offer("b", vec![Column::category("x", &["a", "b\u{202e}"])])]),
        ];
        for (i, page) in wrong.iter().enumerate() {
            assert!(!page.is_next("Z"), "{i}");
        }
        let text = r#"{"tables":[{"name":"a","contract":{"columns":[{"name":"x","kind":"number"}]},"path":"/rows.csv"}],"more":false}"#;
        assert!(serde_json::from_str::<Page>(text).is_err(), "what is not known is not taken");
    }
}
