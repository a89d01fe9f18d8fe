"""What the measurements over real TCP share: servers in processes of their own, a client that costs
little, loops that send, and figures next to their targets."""
