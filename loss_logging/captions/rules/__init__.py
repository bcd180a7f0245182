"""The families of caption rules, one small file each; `loss_logging.captions.rulebook` names them."""
