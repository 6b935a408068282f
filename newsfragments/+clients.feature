The log names each of Amp's clients once, with its version, and says whether its model calls use your accounts (classic) or are billed by Amp (Neo).
