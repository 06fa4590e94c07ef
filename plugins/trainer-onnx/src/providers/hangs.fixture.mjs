// A driver that never comes back.
setInterval(() => undefined, 1000)
