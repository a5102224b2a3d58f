//! Bytes sent to us become batches: a folder per protocol, then the gate for everybody.
//! It opens no connection and serves no route.
