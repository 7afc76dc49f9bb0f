//! What the members of a project show each other of their tables.

use super::Result_;
use super::access::{Access, Caller};
use crate::catalogue::Catalogue;
use crate::node::Node;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use std::sync::Arc;

/// Ask all members of a project which tables they show: name, contract, and rows where the owner shows how many.
#[utoipa::path(get, path = "/api/v1/projects/{project}/tables", tag = "tables", params(("project" = String, Path)), responses((status = 200, body = Catalogue)))]
pub(super) async fn catalogue(
    State(node): State<Arc<Node>>,
    State(access): State<Arc<Access>>,
    Extension(caller): Extension<Caller>,
    Path(project): Path<String>,
) -> Result_<Catalogue> {
    access.catalogues.take(&caller.bucket())?;
    Ok(Json(node.catalogue(&project).await?))
}
