# Rscript conditional_logistic.R: writes matched.csv (invented sets) and conditional_logistic.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
library(survival)
library(jsonlite)
set.seed(20)
size <- sample(2:6, 150, replace = TRUE)
set <- rep(seq_along(size), size)
rows <- data.frame(set = paste0("p", set), site = set %% 3, practice = paste0("g", set %% 24), dose = round(rnorm(length(set)), 2), age = round(50 + 10 * rnorm(length(set)) + rep(rnorm(150, 0, 5), size)), arm = sample(c("a", "b", "c"), length(set), TRUE))
risk <- exp(0.6 * rows$dose + 0.02 * rows$age - 0.5 * (rows$arm == "b"))
rows$case <- 0
for (s in unique(rows$set)) { i <- which(rows$set == s); m <- sample(0:3, 1, prob = c(0.05, 0.55, 0.25, 0.15)); rows$case[i[sample(length(i), min(m, length(i)), prob = risk[i])]] <- 1 }
rows <- rows[sample(nrow(rows)), ]
write.csv(rows, "matched.csv", row.names = FALSE, quote = FALSE)
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
formula <- Surv(rep(1, nrow(rows)), case) ~ dose + age + arm + strata(set)
told <- function(fit) list(estimate = unname(coef(fit)), variance = unname(fit$var), loglik_null = fit$loglik[1], loglik = fit$loglik[2], score = fit$score, wald = unname(fit$wald.test))
fitted <- function(ties, ...) told(do.call(coxph, list(formula, data = rows, ties = ties, control = tight, ...))) # what clogit calls
found <- list(software = list(R = R.version.string, survival = as.character(packageVersion("survival"))))
for (ties in c("exact", "efron", "breslow")) found[[ties]] <- fitted(ties)
for (ties in c("efron", "breslow")) for (by in c("practice", "set")) found[[paste(ties, by)]] <- fitted(ties, cluster = rows[[by]])
same <- told(clogit(case ~ dose + age + arm + strata(set), rows, method = "exact", control = tight))
stopifnot(isTRUE(all.equal(same, found$exact)))
# coxph gives no clustered errors of the exact form: scores of each set over all choices of its cases, summed within clusters
X <- model.matrix(~ dose + age + arm, rows)[, -1]
scores <- function(b) t(sapply(split(seq_len(nrow(rows)), rows$set), function(i) {
  m <- sum(rows$case[i])
  if (m == 0 || m == length(i)) return(rep(0, ncol(X)))
  chosen <- combn(length(i), m)
  sums <- apply(chosen, 2, function(k) colSums(X[i[k], , drop = FALSE]))
  w <- exp(b %*% sums); w <- w / sum(w)
  colSums(X[i[rows$case[i] == 1], , drop = FALSE]) - drop(sums %*% t(w))
}))
for (by in c("practice", "set")) {
  u <- scores(found$exact$estimate)
  owner <- rows[[by]][match(rownames(u), rows$set)]
  meat <- crossprod(rowsum(u, owner))
  found[[paste("exact", by)]] <- modifyList(found$exact, list(variance = found$exact$variance %*% meat %*% found$exact$variance))
}
telling <- sapply(split(rows$case, rows$set), function(v) any(v == 1) && any(v == 0))
found$sets <- sum(telling)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "conditional_logistic.json")
