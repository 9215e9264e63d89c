//! The page: files that are compiled into the binary. It asks for no others.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! files {
    ($($path:literal $kind:literal $file:literal,)*) => {
        [$(File { path: $path, kind: $kind, content: include_str!(concat!("page/", $file)) },)*]
    };
}

const FILES: [File; 10] = files! {
    "/" "text/html; charset=utf-8" "index.html",
    "/style.css" "text/css; charset=utf-8" "style.css",
    "/icon.svg" "image/svg+xml" "icon.svg",
    "/app.js" "text/javascript; charset=utf-8" "app.js",
    "/cards.js" "text/javascript; charset=utf-8" "cards.js",
    "/dom.js" "text/javascript; charset=utf-8" "dom.js",
    "/plot.js" "text/javascript; charset=utf-8" "plot.js",
    "/run.js" "text/javascript; charset=utf-8" "run.js",
    "/activity.js" "text/javascript; charset=utf-8" "activity.js",
    "/words.js" "text/javascript; charset=utf-8" "words.js",
};

/// A route for each file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .fold(Router::new(), |router, file| router.route(file.path, get(|| async { answer(file) })))
}

fn answer(file: &'static File) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(file.kind))], file.content).into_response()
}
