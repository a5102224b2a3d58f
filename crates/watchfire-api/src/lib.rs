//! The HTTP faces (a folder per face), WebSocket, sessions and access levels, the embedded page.
//! It computes nothing that a room below can compute.

pub mod auth;
pub mod server;
