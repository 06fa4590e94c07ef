// A driver that ends the process.
process.abort()
