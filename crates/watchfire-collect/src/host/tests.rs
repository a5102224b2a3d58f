//! Tests of the host collector as a whole: a small host made of files, and the real one beside node_exporter.
