//! How many tokens a text is, whether a prompt fits a model's window, and how to make it fit. Plain synchronous code without
//! sockets, files of its own or an async runtime: the server and the SDK link the same.
