//! What happens to every request around its handler.

pub mod cors;
pub mod observe;
pub mod password;
pub mod ready;
