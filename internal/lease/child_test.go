package lease

const holderArg = "lease-holder"

func hold() int { return 0 }
