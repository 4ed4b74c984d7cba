//! Plain data in, offline HTML and pictures out.
