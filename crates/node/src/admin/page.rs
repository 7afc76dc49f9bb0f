//! The dashboard: files in the program, and the headers that keep browsers to them.

use axum::extract::{Path, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const FILES: &[(&str, &str, &[u8])] = &[
    ("style.css", "text/css; charset=utf-8", include_bytes!("../../dashboard/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/app.js")),
    ("api.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/api.js")),
    ("audit.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/audit.js")),
    ("catalogue.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/catalogue.js")),
    ("chart.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/chart.js")),
    ("dom.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/dom.js")),
    ("format.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/format.js")),
    ("job.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/job.js")),
    ("jobs.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/jobs.js")),
    ("loss.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/loss.js")),
    ("manifest.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/manifest.js")),
    ("members.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/members.js")),
    ("people.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/people.js")),
    ("policy.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/policy.js")),
    ("tables.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/tables.js")),
    ("timeline.js", "text/javascript; charset=utf-8", include_bytes!("../../dashboard/timeline.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../dashboard/icon.svg")),
];

pub(super) async fn index() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("../../dashboard/index.html")).into_response()
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, content)) => ([(header::CONTENT_TYPE, *kind)], *content).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Nothing is loaded but what this node serves, nothing runs that stands in a page, nobody frames it, and nothing of it is kept.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Puts these headers on every answer.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
