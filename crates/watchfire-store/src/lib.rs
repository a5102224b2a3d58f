//! Keeps batches and gives them back: write-ahead log, head, immutable blocks, label index, retention, small durable state.
//! It knows no protocol and no query language, and it is synchronous.
