//! Finds what can never work: rules, dashboard panels, routes and probes are checked against catalogs and stored series. It
//! changes nothing and reads no file by itself; every finding says where, why and what to write instead.
