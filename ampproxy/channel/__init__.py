"""The channel between the supervisor of several workers and each of them.

A pair of Unix stream sockets. Each message is a frame: four bytes with the length of its payload, one with
the number of descriptors that come along, and the payload, a message of :mod:`ampproxy.channel.messages` in
MessagePack.

What is sent is written at once as far as the socket takes it, so that it is in the kernel, and not in the
process, when that is killed: the other end still reads it. The rest waits; how much waits is known to
whoever sends, who must bound it by what it sends (:mod:`ampproxy.channel.reporting`).
"""
