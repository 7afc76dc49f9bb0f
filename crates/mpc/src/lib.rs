//! Shares and protocols: plain, count, rep3, and the operations over them
