//! What all endpoints of the API share: parameters, errors, and JSON.

pub mod answer;
pub mod error;
pub mod form;
pub mod histogram;
pub mod json;
pub mod number;
pub mod stats;
pub mod stream;
pub mod tenant;
pub mod time;

pub use error::{ApiError, ErrorType};
pub use form::Form;
pub use tenant::Tenant;
