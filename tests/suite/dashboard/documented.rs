//! What the documentation says of the API is so.
