//! Which path leads to which handler.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::api::{history, iterations, operations, pairs};
use super::metrics::metrics;
use super::middleware::{HEADERS, log, middleware};
use super::page;
use super::refusal::refusal;
use super::state::Shared;

/// No answer takes longer. Whatever waits for the database has its own, shorter limit.
const ANSWER: Duration = Duration::from_secs(15);

/// All routes, behind the middleware.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let router = Router::new()
        .merge(page::routes())
        .route("/api/pairs", get(pairs))
        .route("/api/iterations", get(iterations))
        .route("/api/operations", get(operations))
        .route("/api/history", get(history))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER))
        .layer(RequestBodyLimitLayer::new(0))
        .layer(from_fn_with_state(Arc::clone(&shared), middleware));
    let with_headers = HEADERS.into_iter().fold(router, |router, (name, value)| {
        router.layer(SetResponseHeaderLayer::overriding(name, value))
    });
    // Rows are much alike: the lowest effort already reduces them to a tenth.
    let compressed = CompressionLayer::new().quality(CompressionLevel::Fastest);
    with_headers.layer(compressed).layer(from_fn(log)).with_state(shared)
}

/// Ready means that the database has answered once. A database that goes away later makes no
/// difference: a page that says so is worth more than none.
async fn ready(State(shared): State<Arc<Shared>>) -> Result<&'static str, Response> {
    if shared.database.was_reached() || shared.database.ask(|_| Ok(())).await.is_ok() {
        return Ok("ok\n");
    }
    Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "the database was not reached yet"))
}
