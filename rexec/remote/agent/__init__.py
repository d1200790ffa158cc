"""The agent: what is shipped to a controller of any make, and runs there.

`rexec.remote._bootstrap` sends the source of these modules as one. They import nothing beyond the standard library at
their top, and only values that the protocol can carry go in and out. Each module's names are there for the later ones:

    sendable, exceptions, output, assembly   values: what can be sent, errors, output, large arguments
    driver_queue                             whose turn with the driver it is
    items                                    the items of a stream that have not arrived yet
    execution                                one running job or stream, on a thread of its own
    workspace                                the code that one client has shipped
    tenant                                   one client: its code, its jobs, and what it has not heard of yet
    dispatcher                               the thread that starts, wakes and ends jobs
    agent                                    answers the requests of clients

`Cancelled` may be raised at any bytecode of a job's thread: it is injected into jobs that do not look whether they are
to end. So a job's thread changes nothing that others depend on: it sets flags of its own and puts itself into the
dispatcher's inbox; queues belong to the dispatcher, whose thread is never interrupted.
"""
