# Rscript log_rank.R: writes log_rank.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
library(survival)
library(jsonlite)
rows <- read.csv("survival.csv")
rows$binned <- ceiling(rows$time / 10) * 10
compared <- function(formula, rho) {
  d <- survdiff(formula, rows, rho = rho)
  over <- function(x) unname(if (is.matrix(x)) rowSums(x) else x)
  list(statistic = d$chisq, observed = over(d$obs), expected = over(d$exp))
}
ask <- list(plain = Surv(time, event) ~ clinic, strata = Surv(time, event) ~ clinic + strata(arm), site = Surv(time, event) ~ arm + strata(site), binned = Surv(binned, event) ~ clinic)
found <- list(software = list(R = R.version.string, survival = as.character(packageVersion("survival"))))
for (name in names(ask)) for (rho in c(0, 0.5, 1, 2)) found[[paste(name, rho)]] <- compared(ask[[name]], rho)
# Fleming and Harrington's weights S(t-)^rho (1 - S(t-))^gamma, which survdiff lacks: written out, and equal to it where gamma is 0
weighed <- function(time, group, stratum, rho, gamma) {
  groups <- sort(unique(group)); k <- length(groups); o <- e <- numeric(k); v <- matrix(0, k, k)
  for (s in unique(stratum)) {
    here <- rows[stratum == s, ]; t <- here[[time]]; g <- factor(group[stratum == s], groups); S <- 1
    for (at in sort(unique(t[here$event == 1]))) {
      n <- as.numeric(table(g[t >= at])); d <- as.numeric(table(g[t == at & here$event == 1]))
      w <- S^rho * (1 - S)^gamma; p <- n / sum(n)
      o <- o + w * d; e <- e + w * sum(d) * p
      if (sum(n) > 1) v <- v + w^2 * sum(d) * (sum(n) - sum(d)) / (sum(n) - 1) * (diag(p, k) - p %o% p)
      S <- S * (1 - sum(d) / sum(n))
    }
  }
  list(statistic = c((o - e)[-k] %*% solve(v[-k, -k], (o - e)[-k])), observed = o, expected = e)
}
late <- list(plain = list("time", rows$clinic, rep(1, nrow(rows))), strata = list("time", rows$clinic, rows$arm), site = list("time", rows$arm, rows$site), binned = list("binned", rows$clinic, rep(1, nrow(rows))))
for (name in names(late)) {
  stopifnot(all.equal(weighed(late[[name]][[1]], late[[name]][[2]], late[[name]][[3]], 0.5, 0), found[[paste(name, 0.5)]], tolerance = 1e-13))
  for (powers in list(c(0, 1), c(1, 1), c(0.5, 2))) found[[paste(name, powers[1], powers[2])]] <- weighed(late[[name]][[1]], late[[name]][[2]], late[[name]][[3]], powers[1], powers[2])
}
write(toJSON(found, digits = 17, auto_unbox = TRUE), "log_rank.json")
