-- ARGV: 3 a pump that is about to wait: from now on it is told of work that others leave.

call('SADD', LISTENING, ARGV[3])
return 1
