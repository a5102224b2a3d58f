//! Tests of reading the section `services:`.
