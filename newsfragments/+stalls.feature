What holds up all streams for longer than `logging.stall` (250 ms) is a warning that names the lines of code that ran; `ampproxy_reactor_longest_stall_seconds` shows the longest.
