//! Chores of the house as a program: `cargo xtask tidy`. Not part of the product.

fn main() {}
