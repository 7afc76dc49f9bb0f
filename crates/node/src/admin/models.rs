//! Models of this organisation that jobs may name.

use super::access::Caller;
use super::{Result_, Role};
use crate::model::{Model, NewModel};
use crate::node::Node;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use std::sync::Arc;

/// Models of this organisation. Paths are for admins.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", responses((status = 200, body = Vec<Model>)))]
pub(super) async fn models(State(node): State<Arc<Node>>, Extension(caller): Extension<Caller>) -> Result_<Vec<Model>> {
    let mut models = node.models().await?;
    if caller.role < Role::Admin {
        models.iter_mut().flat_map(|model| &mut model.files).for_each(|file| file.path.clear());
    }
    Ok(Json(models))
}

/// Register a model, or change it.
#[utoipa::path(post, path = "/api/v1/models", tag = "models", request_body = NewModel, responses((status = 200, body = Model)))]
pub(super) async fn register_model(State(node): State<Arc<Node>>, Json(model): Json<NewModel>) -> Result_<Model> {
    Ok(Json(node.register_model(model).await?))
}

/// Withdraw a model.
#[utoipa::path(delete, path = "/api/v1/models/{name}", tag = "models", params(("name" = String, Path)), responses((status = 200)))]
pub(super) async fn withdraw_model(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Result_<()> {
    node.withdraw_model(&name).await?;
    Ok(Json(()))
}
