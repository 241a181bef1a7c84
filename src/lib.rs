//! Plinth: a transactional, ordered key-value database.
