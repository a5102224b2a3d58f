//! Tests of this face over a house in memory.
