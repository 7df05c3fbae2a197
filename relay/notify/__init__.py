"""Notifications: signals -> messages to people, by Telegram, mail, Slack, or any URL. Imported only if routes ask.

    ledger       what is news of signals, and of what other relays report; grouped for each receiver (it has the list)
    texts        what is to be said -> a line, in English or Russian (words, english, russian)
    notification lines, with links into the console
    receivers    a notification -> what Telegram, a mail server, Slack or a webhook takes, and what it answered
    notifier     the loop of the daemon: what is due is sent, and what was told is stored (state_file)

It stands above `delivery`, whose sender it uses, and below `operations`, which send a test. Nothing of a delivery or of
a 200 waits for it: the daemon hands it each signal, and everything else happens in a task of its own.
"""
