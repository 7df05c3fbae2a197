"""What operators ask and do: a store, a routes file and values in -> values out; errors of `relay.errors`.

It lies below the command line and the admin listener, and above the store, so that each question and act is answered
in one place. It knows no HTTP and no terminal. An act takes who does it (`by`) and when (`now`); its line in the
audit is in the same commit.
"""
